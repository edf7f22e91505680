#!/usr/bin/env python3
"""What others wrote that ends in what we ship: THIRD-PARTY.md, with every licence's text, and imgtask.spdx.json, an SPDX 2.3 SBOM.

    python3 packaging/inventory.py            writes both
    python3 packaging/inventory.py --check    says whether they are what the sources say; writes nothing
    python3 packaging/inventory.py --target aarch64-apple-darwin --out FOLDER      for another system

Cargo says what is linked into the library and the command (no build scripts' helpers, no procedural macros); the texts are those
in the crates' own sources. Nothing is fetched, and two runs write the same bytes.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Set, Tuple

ROOT = Path(__file__).resolve().parent.parent
CARGO = os.environ.get("CARGO", "cargo")
LINUX = "x86_64-unknown-linux-gnu"
# What is shipped, and the features it is built with.
PRODUCTS = {"library": "decode,journal", "command": "cli"}
# Where a crate leaves the choice, the first of these.
PREFERRED = ("MIT", "ISC", "BSD-3-Clause", "Zlib", "Apache-2.0", "CDLA-Permissive-2.0")
# How the text of a licence is known.
NOTICE_OF_APACHE = 'Licensed under the Apache License, Version 2.0 (the "License")'
MARKS = {
    "MIT": "Permission is hereby granted, free of charge, to any person obtaining a copy",
    "ISC": "Permission to use, copy, modify, and/or distribute this software for any purpose",
    "BSD-3-Clause": "Redistribution and use in source and binary forms",
    "Zlib": "This software is provided 'as-is', without any express or implied warranty",
    "Apache-2.0": "Apache License Version 2.0, January 2004",
    "CDLA-Permissive-2.0": "Community Data License Agreement - Permissive - Version 2.0",
}
# What Rust's standard library is made of besides its own sources, in whatever versions the toolchain brings: licence offered, taken,
# copyright, source. Its own list, COPYRIGHT-library.html, leaves some out, and no toolchain need have it. The tests look for more.
STANDARD = {
    "addr2line": ("Apache-2.0 OR MIT", "MIT", "Copyright (c) 2016-2018 The gimli Developers", "https://github.com/gimli-rs/addr2line"),
    "adler2": ("0BSD OR MIT OR Apache-2.0", "MIT", "Copyright (C) Jonas Schievink", "https://github.com/oyvindln/adler2"),
    "cfg-if": ("MIT OR Apache-2.0", "MIT", "Copyright (c) 2014 Alex Crichton", "https://github.com/rust-lang/cfg-if"),
    "compiler_builtins": ("MIT AND Apache-2.0 WITH LLVM-exception AND (MIT OR Apache-2.0)", "MIT AND Apache-2.0 WITH LLVM-exception",
                          "The Rust Project contributors, LLVM's and musl's", "https://github.com/rust-lang/compiler-builtins"),
    "gimli": ("MIT OR Apache-2.0", "MIT", "Copyright (c) 2015 The Rust Project Developers", "https://github.com/gimli-rs/gimli"),
    "hashbrown": ("MIT OR Apache-2.0", "MIT", "Copyright (c) 2016 Amanieu d'Antras", "https://github.com/rust-lang/hashbrown"),
    "libc": ("MIT OR Apache-2.0", "MIT", "Copyright (c) The Rust Project Developers", "https://github.com/rust-lang/libc"),
    "memchr": ("Unlicense OR MIT", "MIT", "Copyright (c) 2015 Andrew Gallant", "https://github.com/BurntSushi/memchr"),
    "miniz_oxide": ("MIT OR Zlib OR Apache-2.0", "MIT", "Copyright 2013-2014 RAD Game Tools and Valve Software; Copyright 2010-2014 Rich "
                    "Geldreich and Tenacious Software LLC; Copyright (c) 2017 Frommi; Copyright (c) 2017-2024 oyvindln",
                    "https://github.com/Frommi/miniz_oxide"),
    "object": ("Apache-2.0 OR MIT", "MIT", "Copyright (c) 2015 The Gimli Developers", "https://github.com/gimli-rs/object"),
    "rustc-demangle": ("MIT OR Apache-2.0", "MIT", "Copyright (c) 2014 Alex Crichton", "https://github.com/rust-lang/rustc-demangle"),
}
LICENCE_FILE = re.compile(r"(?i)^(licen[cs]e|copying|notice)")
COPYRIGHT = re.compile(r"(?i)^\W*(copyright\b(?! notice|[^\d©(]*license)|\(c\)|©)")


class Crate(NamedTuple):
    name: str
    version: str
    declared: str  # what its author offers
    chosen: Tuple[str, ...]  # what we take of it
    texts: Tuple[Tuple[str, str], ...]  # (licence, text)
    repository: str
    sha256: str

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def spdx_id(self) -> str:
        return "SPDXRef-crate-" + re.sub(r"[^A-Za-z0-9.-]", "-", f"{self.name}-{self.version}")

    @property
    def copyrights(self) -> List[str]:
        lines = [line for _, text in self.texts for line in split(text)[0]]
        return list(dict.fromkeys(lines))


def cargo(*arguments: str) -> str:
    command = [CARGO, *arguments, "--locked", "--offline"]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def linked(features: str, target: str) -> Dict[str, Set[str]]:
    """Every crate that is linked, by name and version, and those it needs itself."""
    listing = cargo("tree", "--target", target, "--features", features, "--edges", "normal,no-proc-macro",
                    "--prefix", "depth", "--no-dedupe", "--format", " {p}")
    needs: Dict[str, Set[str]] = {}
    above: List[str] = []
    for line in listing.splitlines():
        depth, name, version = line.split()[:3]
        title = f"{name} {version.lstrip('v')}"
        del above[int(depth):]
        if above:
            needs[above[-1]].add(title)
        needs.setdefault(title, set())
        above.append(title)
    return needs


def choose(expression: str) -> Tuple[str, ...]:
    """The licences that are taken: all of an AND, of an OR the one we like best."""
    words = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR ").replace(" WITH ", "-WITH-"))
    place = 0

    def rank(licences: Tuple[str, ...]) -> int:
        return max(PREFERRED.index(name) if name in PREFERRED else len(PREFERRED) for name in licences)

    def one() -> Tuple[str, ...]:
        nonlocal place
        place += 1
        if words[place - 1] != "(":
            return (words[place - 1],)
        inner = either()
        place += 1
        return inner

    def every() -> Tuple[str, ...]:
        nonlocal place
        found = one()
        while words[place:place + 1] == ["AND"]:
            place += 1
            found += one()
        return found

    def either() -> Tuple[str, ...]:
        nonlocal place
        found = [every()]
        while words[place:place + 1] == ["OR"]:
            place += 1
            found.append(every())
        return min(found, key=rank)

    return tuple(dict.fromkeys(either()))


def licence_files(folder: Path) -> List[Path]:
    """Also those of parts that a crate took from others."""
    skipped = {"tests", "benches", "examples", "fuzz", "target", ".git"}
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - skipped)
        found += [Path(path, file) for file in sorted(files) if LICENCE_FILE.match(file)]
    return found


def texts_of(title: str, folder: Path, chosen: Tuple[str, ...]) -> Tuple[Tuple[str, str], ...]:
    found = []
    for file in licence_files(folder):
        text = file.read_text(encoding="utf-8").replace("\r\n", "\n").expandtabs(4).strip("\n")
        text = re.sub(r"^// ?", "", text, flags=re.M)
        flat = " ".join(text.replace("’", "'").split())
        licences = [name for name, mark in MARKS.items() if mark in flat]
        if not licences and NOTICE_OF_APACHE in flat:
            licences = ["Apache-2.0"]
        # Parts of others come with the licence that they have, whatever the crate's own.
        if not set(licences) & set(chosen) and file.parent == folder:
            continue
        if not licences and file.parent != folder:
            sys.exit(f"{title}: whose licence is {file}? Look at it, and teach this script")
        if licences:
            found.append((next((name for name in chosen if name in licences), licences[0]), text))
    for name in chosen:
        if not any(licence == name for licence, _ in found):
            sys.exit(f"{title}: no text of {name} in its sources; look at them, and teach this script")
    return tuple(found)


def crates(target: str) -> Tuple[Dict[str, Crate], Dict[str, Dict[str, Set[str]]]]:
    """All crates by title, and for each product what needs what."""
    graphs = {product: linked(features, target) for product, features in PRODUCTS.items()}
    titles = set().union(*graphs.values())
    checksums = dict(re.findall(r'name = "(.*)"\nversion = .*\nsource = .*\nchecksum = "(.*)"',
                                re.sub(r'name = "(.*)"\nversion = "(.*)"', r'name = "\1 \2"\nversion = ""',
                                       (ROOT / "Cargo.lock").read_text())))
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", target,
                                "--features", ",".join(PRODUCTS.values())))
    found = {}
    for package in metadata["packages"]:
        title = f"{package['name']} {package['version']}"
        if title not in titles or package["name"] == "imgtask":
            continue
        if not package["license"]:
            sys.exit(f"{title} names no licence")
        declared = package["license"].replace("/", " OR ")
        chosen = choose(declared)
        found[title] = Crate(package["name"], package["version"], declared, chosen,
                             texts_of(title, Path(package["manifest_path"]).parent, chosen),
                             package["repository"] or "", checksums[title])
    return dict(sorted(found.items())), graphs


def split(text: str) -> Tuple[List[str], str]:
    """The lines that name who holds the copyright, and the rest."""
    lines = text.split("\n")
    if "Apache License, Version 2.0" in text:
        return [], text
    held = [line.strip().strip("*").strip() for line in lines if COPYRIGHT.match(line)]
    rest = "\n".join(line.rstrip() for line in lines if not COPYRIGHT.match(line))
    return held, re.sub(r"\n{3,}", "\n\n", rest).strip("\n")


def notices(found: Dict[str, Crate], graphs: Dict[str, Dict[str, Set[str]]], target: str) -> str:
    out = [
        "# Third-party notices",
        "",
        "imgtask is under the [MIT](LICENSE-MIT) or the [Apache-2.0](LICENSE-APACHE) licence, as you choose. This is what others wrote",
        f"that is linked into the library and into the command `imgtask`, as built for {target}, and the licence under which we take",
        "it. Written by `packaging/inventory.py` from Cargo.lock and the crates' sources; the tests compare it.",
        "",
        "The Rust standard library is in both, under MIT or Apache-2.0, as ours: Copyright (c) The Rust Project contributors; its tables of",
        "characters are under Unicode-3.0: Copyright (c) 1991-2024 Unicode, Inc. The crates that it is made of itself come with the",
        "toolchain that builds, in its versions, and stand at [the end](#in-rusts-standard-library).",
        "",
        "| crate | version | licence offered | taken | in | source |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for title, crate in found.items():
        place = "library, command" if title in graphs["library"] else "command"
        out.append(f"| {crate.name} | {crate.version} | {crate.declared} | {' and '.join(crate.chosen)} | {place} | {crate.repository} |")
    # One text that many crates share is printed once, below the names and copyright lines of all.
    groups: Dict[Tuple[str, str], List[Tuple[str, List[str], str]]] = {}
    for title, crate in found.items():
        for licence, text in crate.texts:
            held, rest = split(text)
            key = re.sub(r"[\W_]+", " ", rest).lower().strip()
            groups.setdefault((licence, key), []).append((title, held, rest))
    order = list(MARKS)
    for (licence, _), members in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[1][0][0])):
        count = len({title for title, _, _ in members})
        out += ["", f"## {licence}: {members[0][0]}" + (f" and {count - 1} more" if count > 1 else ""), ""]
        out += dict.fromkeys(f"- {title}" + (": " + "; ".join(held) if held else "") for title, held, _ in members)
        out += ["", "```text", members[0][2], "```"]
    out += [
        "", "## In Rust's standard library", "",
        "The text of MIT is that above. The toolchain has a list of its own, `share/doc/rust/COPYRIGHT-library.html` below the folder that",
        "`rustc --print sysroot` names, with the versions of some of these; beside it, in `licenses`, is the text of Unicode-3.0.", "",
        "| crate | licence offered | taken | copyright | source |", "| --- | --- | --- | --- | --- |",
    ]
    out += [f"| {name} | {offered} | {taken} | {held} | {source} |" for name, (offered, taken, held, source) in STANDARD.items()]
    return "\n".join(out) + "\n"


def sbom(found: Dict[str, Crate], graphs: Dict[str, Dict[str, Set[str]]], target: str) -> str:
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M).group(1)
    products = {"library": ("libimgtask", "LIBRARY"), "command": ("imgtask", "APPLICATION")}
    packages, relations = [], []
    for product, (name, purpose) in products.items():
        own = f"SPDXRef-{product}"
        packages.append({
            "SPDXID": own, "name": name, "versionInfo": version, "primaryPackagePurpose": purpose, "filesAnalyzed": False,
            "supplier": "NOASSERTION", "downloadLocation": "NOASSERTION",
            "licenseConcluded": "MIT OR Apache-2.0", "licenseDeclared": "MIT OR Apache-2.0",
            "copyrightText": "Copyright (c) 2026 The imgtask authors",
            "comment": f"Built with the features {PRODUCTS[product]} for {target}",
            "externalRefs": [reference("imgtask", version)],
        })
        relations.append(("SPDXRef-DOCUMENT", "DESCRIBES", own))
        relations.append((own, "DEPENDS_ON", "SPDXRef-rust-standard-library"))
        root = next(title for title in graphs[product] if title.startswith("imgtask "))
        relations += [(own, "DEPENDS_ON", found[title].spdx_id) for title in graphs[product][root]]
        for title, needs in graphs[product].items():
            if title != root:
                relations += [(found[title].spdx_id, "DEPENDS_ON", found[need].spdx_id) for need in needs]
    packages.append({
        "SPDXID": "SPDXRef-rust-standard-library", "name": "rust-std", "filesAnalyzed": False, "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION", "licenseConcluded": "MIT OR Apache-2.0", "licenseDeclared": "MIT OR Apache-2.0",
        "copyrightText": "NOASSERTION", "comment": "Of the toolchain that builds; its tables of characters are under Unicode-3.0",
    })
    for name, (offered, taken, held, source) in STANDARD.items():
        packages.append({
            "SPDXID": f"SPDXRef-rust-standard-library-{name.replace('_', '-')}", "name": name, "filesAnalyzed": False,
            "supplier": "NOASSERTION", "downloadLocation": "NOASSERTION", "homepage": source, "licenseConcluded": taken,
            "licenseDeclared": offered, "copyrightText": held, "comment": "In the version of the toolchain that builds",
        })
        relations.append(("SPDXRef-rust-standard-library", "DEPENDS_ON", packages[-1]["SPDXID"]))
    for crate in found.values():
        packages.append({
            "SPDXID": crate.spdx_id, "name": crate.name, "versionInfo": crate.version, "filesAnalyzed": False,
            "supplier": "NOASSERTION", "downloadLocation": "NOASSERTION",
            "homepage": crate.repository or "NOASSERTION",
            "checksums": [{"algorithm": "SHA256", "checksumValue": crate.sha256}],
            "licenseConcluded": " AND ".join(crate.chosen), "licenseDeclared": crate.declared,
            "copyrightText": "\n".join(crate.copyrights) or "NOASSERTION",
            "externalRefs": [reference(crate.name, crate.version)],
        })
    document = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"imgtask-{version}",
        # No time of day: the same sources give the same bytes.
        "creationInfo": {"created": "1970-01-01T00:00:00Z", "creators": ["Tool: packaging-inventory.py"]},
        "packages": packages,
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in sorted(set(relations))
        ],
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    document["documentNamespace"] = f"https://spdx.org/spdxdocs/imgtask-{version}-{digest[:32]}"
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def reference(name: str, version: str) -> Dict[str, str]:
    return {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": f"pkg:cargo/{name}@{version}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("--target", default=LINUX, help="the system that is built for (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT, help="the folder to write to")
    options = parser.parse_args()
    found, graphs = crates(options.target)
    stale = []
    for name, text in (("THIRD-PARTY.md", notices), ("imgtask.spdx.json", sbom)):
        file, content = options.out / name, text(found, graphs, options.target)
        if not options.check:
            file.write_text(content, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != content:
            stale.append(name)
    if stale:
        sys.exit(f"{' and '.join(stale)} no longer say what is linked: run `make notices`")


if __name__ == "__main__":
    main()
