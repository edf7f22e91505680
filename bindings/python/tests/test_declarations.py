"""The declarations that ctypes works with are the header's."""

import ctypes
import pickle
import re
import subprocess
import sys
from typing import List

import imgtask
from imgtask import _abi, _errors, _task

from .support import INCLUDE, PACKAGE, Folder, compiler, library_file


def structs() -> List[type]:
    return [
        each
        for each in vars(_abi).values()
        if isinstance(each, type) and issubclass(each, ctypes.Structure) and each is not ctypes.Structure
    ]


class Declarations(Folder):
    def test_the_generated_file_is_current(self) -> None:
        done = subprocess.run(
            [sys.executable, str(PACKAGE / "tools" / "generate_abi.py"), "--check"],
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_struct_field_and_constant_is_what_the_c_compiler_says(self) -> None:
        lines = []
        expected = []
        for struct in structs():
            name = struct.__name__
            expected.append(f"{name} {ctypes.sizeof(struct)}")
            lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
            for field, kind in struct._fields_:  # type: ignore[attr-defined]
                place = getattr(struct, field)
                expected.append(f"{name}.{field} {place.offset} {place.size}")
                lines.append(
                    f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));'
                )
        for prefix, enum in {
            "IMGTASK_STATUS": _abi.Status,
            "IMGTASK_TASK_STATE": _abi.TaskState,
            "IMGTASK_FAILURE_ACTION": _abi.TaskFailureAction,
            "IMGTASK_BYTES_FORMAT": _abi.BytesFormat,
            "IMGTASK_CONFIDENCE": _abi.Confidence,
            "IMGTASK_LOG_LEVEL": _abi.LogLevel,
            "IMGTASK_FLAG": _abi.Flag,
        }.items():
            for member in enum:
                expected.append(f"{prefix}_{member.name} {member.value}")
                lines.append(f'printf("{prefix}_{member.name} %lu\\n", (unsigned long){prefix}_{member.name});')
        for macro in ("ABI_VERSION", "TIMEOUT_DEFAULT", "VERSION_MAJOR", "VERSION_MINOR", "VERSION_PATCH"):
            expected.append(f"{macro} {getattr(_abi, macro)}")
            lines.append(f'printf("{macro} %lu\\n", (unsigned long)IMGTASK_{macro});')
        source = self.folder / "layout.c"
        source.write_text(
            "#include <imgtask.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n"
            + "\n".join(lines)
            + "\nreturn 0; }\n"
        )
        program = self.folder / "layout"
        subprocess.run([compiler(), "-std=c11", f"-I{INCLUDE}", str(source), "-o", str(program)], check=True, timeout=60)
        said = subprocess.run([str(program)], capture_output=True, text=True, check=True, timeout=10).stdout
        self.assertEqual(said.splitlines(), expected)
        self.assertGreater(len(structs()), 6)

    def test_no_function_or_struct_of_the_header_is_left_out(self) -> None:
        # Another reading than the generator's: every name followed by a parenthesis, every struct with a body.
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", (INCLUDE / "imgtask.h").read_text(), flags=re.S)
        functions = set(re.findall(r"\b(imgtask_\w+)\s*\(", text))
        self.assertEqual(functions, set(_abi.FUNCTIONS))
        bodies = set(re.findall(r"\bstruct\s+(imgtask_\w+)\s*\{", text))
        self.assertEqual(bodies, {each.__name__ for each in structs()})

    def test_every_function_is_in_the_library(self) -> None:
        library = ctypes.CDLL(str(library_file()))
        for name in _abi.FUNCTIONS:
            self.assertTrue(hasattr(library, name), name)

    def test_no_struct_has_a_hole(self) -> None:
        for struct in structs():
            used = sum(getattr(struct, field).size for field, _ in struct._fields_)  # type: ignore[attr-defined]
            self.assertEqual(used, ctypes.sizeof(struct), struct.__name__)

    def test_every_status_has_a_class_of_its_family(self) -> None:
        families = {0: _errors.CallerError, 20: _errors.FlowError, 40: _errors.NetworkError}
        families.update({60: _errors.ServiceError, 80: _errors.LocalError, 240: _errors.InternalError})
        for status in _abi.Status:
            if status == _abi.Status.OK:
                continue
            found = _errors.error_class(status)
            self.assertTrue(issubclass(found, families[status // 20 * 20]), status)
            self.assertIn(status, _errors._CLASSES)

    def test_a_status_of_a_newer_library_falls_back_to_its_family(self) -> None:
        self.assertIs(_errors.error_class(19), _errors.CallerError)
        self.assertIs(_errors.error_class(39), _errors.FlowError)
        self.assertIs(_errors.error_class(59), _errors.NetworkError)
        self.assertIs(_errors.error_class(79), _errors.ServiceError)
        self.assertIs(_errors.error_class(99), _errors.LocalError)
        self.assertIs(_errors.error_class(123), _errors.InternalError)

    def test_a_status_of_a_newer_library_keeps_its_number(self) -> None:
        newer = _abi.Status(79)
        self.assertEqual((int(newer), str(newer), newer == 79), (79, "unknown 79", True))
        self.assertIs(pickle.loads(pickle.dumps(newer)).__class__, _abi.Status)
        with self.assertRaises(ValueError):
            _abi.Status(-1)

    def test_a_status_says_its_word(self) -> None:
        library = imgtask.load(library_file())
        for status in _abi.Status:
            word = library.imgtask_status_name(int(status)).decode()
            self.assertEqual((str(status), f"{status:>20}"), (word, f"{word:>20}"))

    def test_every_state_and_action_has_its_word(self) -> None:
        self.assertEqual({each.name for each in _abi.TaskState}, {each.name for each in _task.State})
        self.assertEqual({each.name for each in _abi.TaskFailureAction}, {each.name for each in _task.FailureAction})
