"""tests/summary.py: what may be tried again alone, and how it is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SUMMARY = Path(__file__).parent.parent / "summary.py"
CASE = '<testcase classname="api.test_log" name="{name}">{inside}</testcase>'


@pytest.fixture
def results(tmp_path):
    def write(*inside, programs=()):
        cases = "".join(CASE.format(name=f"test_{n}[::1]", inside=one) for n, one in enumerate(inside))
        (tmp_path / "build-asan-api-beside.pytest.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
        (tmp_path / "build-unit.meson.json").write_text("".join(json.dumps(program) + "\n" for program in programs))
        return tmp_path

    return write


def summary(*args):
    done = subprocess.run([sys.executable, SUMMARY, *args], capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()


GAP = {"name": "sluice:unit / unit/core/gap", "result": "FAIL", "returncode": 1,
       "stdout": "[ RUN      ] test_a\n[  FAILED  ] test_a\n[ RUN      ] test_b\n[       OK ] test_b\n"}


def test_what_failed_may_be_tried_alone_and_is_told(results):
    folder = results('<failure message="AssertionError: late">where</failure>', "", programs=[GAP])
    _, again = summary("--again", folder)
    assert again == ["build-asan-api-beside tests/api/test_log.py::test_0[::1]", "build-unit unit/core/gap"]
    code, lines = summary(folder)
    assert code == 1 and lines[-1] == "2 passed, 2 failed, 0 skipped"
    (folder / "unsteady").write_text("\n".join(again))
    code, lines = summary(folder)
    assert code == 0 and lines[-1] == "4 passed, 0 failed, 0 skipped"
    assert sum(line.startswith("unsteady, passed alone: ") for line in lines) == 2


@pytest.mark.parametrize("inside", [
    '<failure message="AssertionError: it ended with 1">ERROR: AddressSanitizer: heap-use-after-free</failure>',
    '<failure message="x.c:1: runtime error: index 64 out of bounds">where</failure>',
    '<error message="sluiced left a process">at the clean-up</error>'])
def test_what_a_sanitizer_or_the_clean_up_says_is_never_tried_again(results, inside):
    assert summary("--again", results(inside)) == (0, [])


def test_when_many_failed_none_is_tried_again(results):
    assert summary("--again", results(*['<failure message="no">where</failure>'] * 6)) == (0, [])
