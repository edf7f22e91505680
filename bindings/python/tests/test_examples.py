"""The examples do what they say: compiled as their readers would, run against the sandbox."""

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import unittest
import unittest.mock
from pathlib import Path
from typing import Dict, List

import imgtask

from .support import INCLUDE, PACKAGE, ROOT, WithSandbox, compiler, library_file

C = ROOT / "examples" / "c"
PYTHON = ROOT / "examples" / "python"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]


class Examples(WithSandbox):
    def environment(self) -> Dict[str, str]:
        return {
            **os.environ,
            **self.sandbox.environment(),
            "PYTHONPATH": str(PACKAGE),
            "IMGTASK_LIBRARY": str(library_file()),
            "LD_LIBRARY_PATH": str(self.folder),
        }

    def compiled(self, name: str) -> Path:
        """An example of ours as a program, against the library under test by the name it is installed under."""
        for link in ("libimgtask.so", "libimgtask.so.0"):
            if not (self.folder / link).exists():
                (self.folder / link).symlink_to(library_file())
        program = self.folder / name
        command = [compiler(), "-std=c99", *WARNINGS, f"-I{INCLUDE}", str(C / f"{name}.c")]
        subprocess.run([*command, f"-L{self.folder}", "-limgtask", "-o", str(program)], check=True, timeout=60)
        return program

    def run_it(self, *command: object, say: str = "", seconds: float = 60) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(word) for word in command],
            input=say,
            capture_output=True,
            text=True,
            timeout=seconds,
            env=self.environment(),
            cwd=self.folder,
        )

    def finished(self, provider: str, prompt: str = "a lighthouse") -> str:
        """The id of a task that has ended at the provider, or that never will."""
        client = self.client(provider)
        task = client.submit(prompt=prompt, model="gpt-image-2", size="64x48")
        if "[never]" not in prompt:
            client.wait(task, timeout=20, raise_on_failure=False)
        return task.id


class InC(Examples):
    def test_fetch_saves_the_image_of_a_task_of_every_provider(self) -> None:
        fetch = self.compiled("fetch")
        for provider in ("dimilinks", "dimilinks-legacy", "lemondata"):
            file = self.folder / f"{provider}.png"
            done = self.run_it(fetch, provider, self.finished(provider), file)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, f"{file}\n", ""))
            self.assertEqual(file.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")

    def test_fetch_is_twenty_lines(self) -> None:
        lines = [line for line in (C / "fetch.c").read_text().splitlines() if line.strip() not in ("", "{", "}")]
        self.assertLessEqual(len(lines), 22)

    def test_fetch_says_why_there_is_no_image(self) -> None:
        fetch = self.compiled("fetch")
        done = self.run_it(fetch, "dimilinks", "img_000000000000000000000000", "cat.png")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("HTTP 404", done.stderr)
        done = self.run_it(fetch, "dimilinks", self.finished("dimilinks", "a cat [fail]"), "cat.png")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("failed and has no image: ", done.stderr)
        self.assertFalse((self.folder / "cat.png").exists())
        self.assertEqual(self.run_it(fetch).returncode, 2)

    def test_show_in_terminal_draws_every_pixel_where_it_belongs(self) -> None:
        program = self.compiled("show_in_terminal")
        client = self.client()
        task = client.wait(client.submit(prompt="a cup", size="60x34"), timeout=20)
        # Two rows a line; the last one is alone.
        pixels = client.download(task).rgba(20, premultiply=True)
        self.assertEqual((pixels.width, pixels.height), (20, 11))
        done = self.run_it(program, "dimilinks", '{"prompt": "a cup", "size": "60x34"}', 20)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [re.findall(r"\x1b\[[34]8;2;(\d+);(\d+);(\d+)m", line) for line in done.stdout.splitlines()]
        self.assertEqual([len(line) for line in lines], [40] * 5 + [20])
        rows = [row for line in lines[:5] for row in (line[0::2], line[1::2])] + [lines[5]]
        shown = b"".join(bytes([*map(int, colour), 255]) for row in rows for colour in row)
        self.assertEqual(shown, pixels.tobytes())
        self.assertIn("%", done.stderr)
        failed = self.run_it(program, "dimilinks", '{"prompt": "a cup [fail]"}')
        self.assertEqual((failed.returncode, failed.stdout), (1, ""))
        self.assertIn("failed and has no image", failed.stderr)
        self.assertEqual(self.run_it(program).returncode, 2)

    def test_wait_and_save_saves_what_was_asked_for(self) -> None:
        program = self.compiled("wait_and_save")
        done = self.run_it(program, "dimilinks", '{"prompt": "a cat", "size": "64x48"}', "cat.png")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("cat.png: image/png, 64 x 48, ", done.stdout)
        self.assertEqual((self.folder / "cat.png").read_bytes()[:4], b"\x89PNG")

    def test_wait_and_save_tries_again_when_told_to(self) -> None:
        program = self.compiled("wait_and_save")
        request = '{"prompt": "a dog that fails once [fail*1]", "size": "64x48"}'
        done = self.run_it(program, "dimilinks", request, "dog.png", say="y\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("try again? [y/N]", done.stderr)
        self.assertEqual(done.stdout.count("submitted: "), 2)
        self.assertTrue((self.folder / "dog.png").exists())

    def test_wait_and_save_leaves_it_when_told_so(self) -> None:
        program = self.compiled("wait_and_save")
        done = self.run_it(program, "lemondata", '{"prompt": "a cat [fail]", "model": "gpt-image-2"}', "cat.png", say="n\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn(" failed: ", done.stderr)
        self.assertEqual(done.stdout.count("submitted: "), 1)

    def test_wait_and_save_does_not_offer_to_repeat_a_refused_request(self) -> None:
        program = self.compiled("wait_and_save")
        done = self.run_it(program, "dimilinks", '{"prompt": "a cat [fail:content_moderation]"}', "cat.png", say="y\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("change the request", done.stderr)
        self.assertEqual(done.stdout.count("submitted: "), 1)

    def test_wait_and_save_takes_a_finished_answer(self) -> None:
        # LemonData answers inline unless it is asked for a task.
        program = self.compiled("wait_and_save")
        request = '{"prompt": "a cat", "model": "dall-e-3", "size": "64x48", "async": false}'
        done = self.run_it(program, "lemondata", request, "cat.png")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_wait_and_save_says_what_the_service_says(self) -> None:
        program = self.compiled("wait_and_save")
        done = self.run_it(program, "dimilinks", '{"prompt": "a cat [create.rate-limited:7]"}', "cat.png")
        self.assertEqual(done.returncode, 1)
        self.assertIn("(rate_limited)", done.stderr)
        self.assertIn("wait 7000 ms", done.stderr)

    def test_nothing_leaks_and_nothing_is_read_wrongly(self) -> None:
        valgrind = shutil.which("valgrind")
        if not valgrind:
            raise unittest.SkipTest("valgrind is not installed")
        check = [valgrind, "--quiet", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"]
        fetch, wait_and_save = self.compiled("fetch"), self.compiled("wait_and_save")
        runs = (
            (0, [fetch, "dimilinks", self.finished("dimilinks"), "a.png"]),
            (1, [fetch, "dimilinks", "img_000000000000000000000000", "b.png"]),
            (0, [wait_and_save, "lemondata", '{"prompt": "a cat", "model": "gpt-image-2", "size": "64x48"}', "c.png"]),
            (1, [wait_and_save, "dimilinks", '{"prompt": "a cat [fail]"}', "d.png"]),
        )
        with concurrent.futures.ThreadPoolExecutor(len(runs)) as together:
            done = list(together.map(lambda run: self.run_it(*check, *run[1], say="n\n", seconds=120), runs))
        self.assertEqual([each.returncode for each in done], [run[0] for run in runs], [each.stderr for each in done])


class InPython(Examples):
    def script(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.run_it(sys.executable, "-W", "error", PYTHON / name, *arguments)

    def calling(self, call: str) -> List[str]:
        """What `poll_image_task` gives or raises."""
        code = f"""
import sys
sys.path.insert(0, {str(PYTHON)!r})
from seed_loop import poll_image_task
try:
    print(poll_image_task({call})["status"])
except BaseException as error:
    print(type(error).__name__)
    print(isinstance(error, TimeoutError))
    print(error)
"""
        done = self.run_it(sys.executable, "-W", "error", "-c", code)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def test_the_quickstart_saves_an_image(self) -> None:
        done = self.script("quickstart.py", "lighthouse.png")
        self.assertEqual((done.returncode, done.stdout.strip(), done.stderr), (0, "lighthouse.png", ""))
        self.assertEqual((self.folder / "lighthouse.png").read_bytes()[:4], b"\x89PNG")

    def test_the_quickstart_is_ten_lines(self) -> None:
        lines = [line for line in (PYTHON / "quickstart.py").read_text().splitlines() if line.strip()]
        self.assertLessEqual(len(lines), 10)

    def test_the_seed_loop_prints_the_address_of_each_image(self) -> None:
        done = self.script("seed_loop.py", self.finished("lemondata"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^http\S+\n$")

    def test_the_seed_loop_returns_the_answer(self) -> None:
        self.assertEqual(self.calling(repr(self.finished("lemondata")) + ", interval=0.02"), ["completed"])

    def test_the_seed_loop_raises_the_reason_of_a_failure(self) -> None:
        task = self.finished("lemondata", "a cat [fail]")
        lines = self.calling(repr(task) + ", interval=0.02")
        self.assertEqual(lines[:2], ["Exception", "False"])
        self.assertRegex(lines[2], "^Image generation failed: .+")

    def test_the_seed_loop_raises_a_timeout_error_after_its_time(self) -> None:
        task = self.finished("lemondata", "a cat [never]")
        lines = self.calling(repr(task) + ", max_wait=0.2, interval=0.02")
        self.assertEqual(lines[1], "True")


    def test_pixels_are_used_with_and_without_numpy_and_pil(self) -> None:
        told = set()
        for hidden in ("", "numpy PIL", "numpy"):
            code = f"import runpy, sys; sys.modules.update(dict.fromkeys({hidden.split()!r}))\n"
            code += f"sys.argv[1:] = ['small.png']; runpy.run_path({str(PYTHON / 'pixels.py')!r}, run_name='__main__')"
            done = self.run_it(sys.executable, "-W", "error", "-c", code)
            self.assertTrue(done.returncode == 0 or done.stderr == "a thumbnail needs PIL: pip install pillow\n", done.stderr)
            self.assertEqual(done.returncode == 0, (self.folder / "small.png").exists())
            (self.folder / "small.png").unlink(missing_ok=True)
            told.add(done.stdout.splitlines()[0])
        self.assertEqual(len(told), 1)
        self.assertRegex(told.pop(), r"^1024 x 1024, brightness \d+$")

    def test_watch_many_goes_on_where_it_was(self) -> None:
        good, failed, images = self.finished("dimilinks"), self.finished("dimilinks", "a cat [fail]"), self.folder / "out"
        command = (sys.executable, "-W", "error", PYTHON / "watch_many.py", images)
        done = self.run_it(*command, say=f"{good}\n\n{failed}\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        manifest = images / "manifest.jsonl"
        lines = {line["id"]: line for line in map(json.loads, manifest.read_text().splitlines())}
        self.assertEqual(lines[good], {"id": good, "file": f"{good}.png"})
        self.assertIn("failed", lines[failed]["error"])
        self.assertEqual((images / f"{good}.png").read_bytes()[:4], b"\x89PNG")
        # A line that a crash has cut short is done again; what stands there is not asked for.
        another = self.finished("dimilinks")
        with open(manifest, "a") as file:
            file.write('{"id": "img_' + another[4:8])
        before = self.sandbox.control("stats")
        done = self.run_it(*command, say=f"{good}\n{failed}\n{another}\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        after = self.sandbox.control("stats")
        self.assertEqual(after["image_gets"] - before["image_gets"], 1)
        self.assertEqual(json.loads(manifest.read_text().splitlines()[-1])["id"], another)
        self.assertEqual(self.run_it(*command).returncode, 0)

    def test_watch_many_leaves_what_may_get_better_to_the_next_run(self) -> None:
        never = self.finished("dimilinks", "a cat [never]")
        code = f"import sys; sys.path.insert(0, {str(PYTHON)!r}); from watch_many import watch_many; "
        code += f"watch_many([{never!r}], 'out', wait_timeout=0.2)"
        done = self.run_it(sys.executable, "-W", "error", "-c", code)
        self.assertEqual((done.returncode, (self.folder / "out" / "manifest.jsonl").read_text()), (0, ""), done.stderr)
        self.assertIn(never, done.stderr)


class Documentation(WithSandbox):
    def test_the_loops_of_the_readmes_run_as_they_are_written(self) -> None:
        found = 0
        for readme in (ROOT / "README.md", PACKAGE / "README.md"):
            for block in re.findall(r"```python\n(.*?)```", readme.read_text(), re.S):
                if "client.watch(" not in block:
                    continue
                found += 1
                ids = self.sandbox.make(3)
                (self.folder / "ids.txt").write_text("\n".join(ids))
                done = subprocess.run(
                    [sys.executable, "-W", "error", "-c", "import imgtask\n" + block],
                    capture_output=True,
                    text=True,
                    timeout=60,
                    cwd=self.folder,
                    env={
                        **os.environ,
                        **self.sandbox.environment(),
                        "PYTHONPATH": str(PACKAGE),
                        "IMGTASK_LIBRARY": str(library_file()),
                    },
                )
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(
                    sorted(done.stdout.splitlines()), sorted(f"{ref} {Path('images') / ref}.png" for ref in ids)
                )
        self.assertEqual(found, 1)
