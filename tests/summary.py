"""
Sums up test results: summary.py FOLDER. The folder holds what the runs left there: meson's testlog.json as
*.meson.json (the cases inside come from cmocka's output), pytest's JUnit XML as *.pytest.xml, and *.steps with lines
"passed|failed WHAT". Lists what failed and what was skipped and why, then prints the plain last line. Exit 1 when
something failed or nothing passed.

What fails beside other tests and passes alone is unsteady. summary.py --again FOLDER prints which tests may be tried alone,
as "RUN TEST", with TEST as pytest or meson names it: none when more than a few failed, and never one that a sanitizer or the
clean-up complained of, since a memory error or a race may show itself once. Those that passed are in FOLDER/unsteady, as
printed: they are counted as passed, and told.
"""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

EXIT_SKIPPED = 77
UNSTEADY_MAX = 5
NEVER_UNSTEADY = re.compile(r"Sanitizer|runtime error:")
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


def again(folder):
    """(run, test) of each failed one that may be tried alone."""
    found = []
    for path in folder.glob("*.pytest.xml"):
        for case in ElementTree.parse(path).iter("testcase"):
            failure, error = case.find("failure"), case.find("error")
            if error is not None or failure is not None:
                test = f"tests/{case.get('classname').replace('.', '/')}.py::{case.get('name')}"
                said = "Sanitizer" if error is not None else f"{failure.get('message')} {failure.text}"
                found.append((path.name.removesuffix(".pytest.xml"), test, said))
    for path in folder.glob("*.meson.json"):
        for program in map(json.loads, path.read_text().splitlines()):
            if program["result"] not in ("OK", "SKIP"):
                said = program.get("stdout", "") + program.get("stderr", "")
                found.append((path.name.removesuffix(".meson.json"), program["name"].rpartition(" / ")[2], said))
    if len(found) > UNSTEADY_MAX:
        return []
    return [(run, test) for run, test, said in found if not NEVER_UNSTEADY.search(said)]


def is_unsteady(unsteady, run, name):
    """Is it one of those in FOLDER/unsteady? A program of meson's stands for its cases."""
    module, _, case = name.partition("::")
    return (f"{run} tests/{module.replace('.', '/')}.py::{case}" in unsteady
            or f"{run} {name.partition(' / ')[2].partition(' ')[0]}" in unsteady)


def step_results(path):
    for line in path.read_text().splitlines():
        status, _, what = line.partition(" ")
        yield status, what, ""


READERS = {".meson.json": meson_results, ".pytest.xml": pytest_results, ".steps": step_results}


def main(folder):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    lines = []
    unsteady = (folder / "unsteady").read_text().splitlines() if (folder / "unsteady").exists() else []
    for suffix, read in READERS.items():
        for path in sorted(folder.glob(f"*{suffix}")):
            run = path.name[: -len(suffix)]
            for status, name, reason in read(path):
                told = status
                if status == "failed" and is_unsteady(unsteady, run, name):
                    status, told = "passed", "unsteady, passed alone"
                counts[status] += 1
                if told != "passed":
                    lines.append(f"{told}: {run}: {name}" + (f": {reason}" if reason else ""))
    for line in sorted(lines, reverse=True):  # failures last, next to the sum
        print(line)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    if sys.argv[1] == "--again":
        for run_and_test in again(Path(sys.argv[2])):
            print(*run_and_test)
    else:
        sys.exit(main(Path(sys.argv[1])))
