"""
Sums up test results: summary.py FOLDER. The folder holds what the runs left there: meson's testlog.json as
*.meson.json (the cases inside come from cmocka's output), pytest's JUnit XML as *.pytest.xml, and *.steps with lines
"passed|failed WHAT". Lists what failed and what was skipped and why, then prints the plain last line. Exit 1 when
something failed or nothing passed.
"""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

EXIT_SKIPPED = 77
STATUS = re.compile(r"^\[ *(RUN|OK|FAILED|SKIPPED) *\] (\w+)$", re.MULTILINE)


def cmocka_cases(program):
    """(status, name, reason) of each case of one test program, from what cmocka printed."""
    text = program.get("stdout", "") + program.get("stderr", "")
    cases = {}
    for status, name in STATUS.findall(text):
        if status == "RUN":
            cases[name] = "failed"  # until it says otherwise: a crash ends the output here
        elif cases.get(name) == "failed":
            cases[name] = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}[status]
    return [(status, name, "the case says so" if status == "skipped" else "") for name, status in cases.items()]


def meson_results(path):
    for line in path.read_text().splitlines():
        program = json.loads(line)
        cases = cmocka_cases(program)
        if program["returncode"] == EXIT_SKIPPED:
            said = (program.get("stdout", "") + program.get("stderr", "")).strip().splitlines()
            cases = [("skipped", "", said[-1] if said else "no reason given")]
        elif program["result"] not in ("OK", "SKIP") and not any(status == "failed" for status, _, _ in cases):
            cases.append(("failed", "", f"{program['result'].lower()}, exit code {program['returncode']}"))
        elif not cases:
            cases = [("passed", "", "")]
        for status, name, reason in cases:
            yield status, f"{program['name']} {name}".strip(), reason


def pytest_results(path):
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            found = case.find("failure") if case.find("failure") is not None else case.find("error")
            yield "failed", name, found.get("message", "").splitlines()[0] if found.get("message") else ""
        elif skipped is not None:
            yield "skipped", name, skipped.get("message", "")
        else:
            yield "passed", name, ""


def step_results(path):
    for line in path.read_text().splitlines():
        status, _, what = line.partition(" ")
        yield status, what, ""


READERS = {".meson.json": meson_results, ".pytest.xml": pytest_results, ".steps": step_results}


def main(folder):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    lines = []
    for suffix, read in READERS.items():
        for path in sorted(Path(folder).glob(f"*{suffix}")):
            run = path.name[: -len(suffix)]
            for status, name, reason in read(path):
                counts[status] += 1
                if status != "passed":
                    lines.append(f"{status}: {run}: {name}" + (f": {reason}" if reason else ""))
    for line in sorted(lines, reverse=True):  # failures last, next to the sum
        print(line)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
