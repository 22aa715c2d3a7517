"""The daemon on a processor that lacks what it was built for."""

from rig.daemon import program
from rig.process import run


def test_it_refuses_to_start_and_says_what_is_lacking():
    done = run([program("sluiced-elsewhere"), "--version"], check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("sluiced: this processor has no flux, which this build needs")
    assert len(done.stderr.splitlines()) == 1
