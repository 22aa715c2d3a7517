"""The Debian package: what is in it, that it works as it is, with the rights that its unit leaves, and that it goes as it came."""

import ctypes.util
import json
import os
import re
import shutil
import subprocess

import pytest

from rig import qemu
from rig.daemon import ROOT
from rig.howto import MACHINE
from rig.process import Process, run

pytestmark = pytest.mark.plain  # a package is built without sanitizers

FILES = """
etc/sluice/sluice.json
usr/bin/sluicectl
usr/bin/sluiced
usr/lib/cni/sluice-cni
usr/lib/netavark/sluice
usr/lib/systemd/system/sluiced.service
usr/share/bash-completion/completions/sluicectl
usr/share/doc/sluice/changelog.gz
usr/share/doc/sluice/copyright
usr/share/doc/sluice/example.json
usr/share/doc/sluice/sluice.json
usr/share/fish/vendor_completions.d/sluicectl.fish
usr/share/man/man1/sluicectl.1.gz
usr/share/man/man5/sluice.json.5.gz
usr/share/man/man8/sluice-cni.8.gz
usr/share/man/man8/sluiced.8.gz
usr/share/sluice/monitoring/alerts.yml
usr/share/sluice/monitoring/grafana.json
usr/share/zsh/site-functions/_sluicectl
""".split()

# Two containers, the way in from the host, and a vip, with the sample configuration and the unit's rights, and mounts that
# reach the daemon as they do from systemd.
FIRST_DAY = """
mount --make-rshared /
unshare --mount --propagation slave python3 "$CONFINED" "$ROOT/usr/lib/systemd/system/sluiced.service" \\
	sluiced --no-huge --config "$ROOT/etc/sluice/sluice.json" & sluiced=$!
until sluicectl status >/dev/null 2>&1; do kill -0 $sluiced; sleep 0.1; done
grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/$sluiced/status
sluicectl network add web --mode host --subnet 10.1.0.0/24 --gateway 10.1.0.1 --egress masquerade
for c in c1 c2; do
	ip netns add $c
	sluicectl port add $c --network web --type tap --netns $c --ifname eth0
done
ip netns exec c1 ping -c 3 10.1.0.3
sluicectl port add v1 --network web --type vhost-user
[ -S /run/sluice/vhost/v1.sock ]
sluicectl port del v1
ip link add up0 type veth peer up1
ip link set up0 up
sluicectl port add p1 --network web --type af_packet --device up0
sluicectl port del p1
sluicectl port add x1 --network web --type af_xdp --device up0
sluicectl port del x1
mkdir /run/www
echo hello >/run/www/index.html
ip netns exec c2 busybox httpd -f -p 80 -h /run/www &
sluicectl publish add web --protocol tcp --port 8080 --to 10.1.0.3:80
until [ "$(busybox wget -q -O - http://127.0.0.1:8080/)" = hello ]; do sleep 0.1; done
sluicectl service add api --network web --vip 10.1.0.100 --port 80 --protocol tcp --check-type tcp
sluicectl backend add api 10.1.0.3:80
until ip netns exec c1 busybox wget -q -O - http://10.1.0.100/ >/dev/null; do sleep 0.1; done
sluicectl status
kill -HUP $sluiced
sluicectl network list
kill $sluiced
wait $sluiced
"""


@pytest.fixture(scope="module")
def package():
    for program in ("dpkg-deb", "dpkg-shlibdeps", "meson", "ninja"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}, which is not installed")
    return run([ROOT / "packaging/deb"], timeout_s=1800).stdout.split()[-1]


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory):
    root = tmp_path_factory.mktemp("package")
    run(["dpkg-deb", "-x", package, root])
    return root


def installed(root):
    """Everything in it but what dpkg keeps of itself."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*")
                  if (path.is_file() or path.is_symlink()) and "var/lib/dpkg" not in str(path))


def test_what_is_in_it(package, unpacked):
    assert installed(unpacked) == FILES
    assert (unpacked / "usr/lib/netavark/sluice").resolve() == (unpacked / "usr/lib/cni/sluice-cni").resolve()
    depends = run(["dpkg-deb", "-f", package, "Depends"]).stdout
    assert "libc6" in depends and "librte-eal" in depends and "libjansson4" in depends
    assert "x86-64-v3" in run(["dpkg-deb", "-f", package, "Description"]).stdout or os.uname().machine != "x86_64"


def test_it_installs_and_goes_without_a_trace(package, tmp_path, requires):
    requires("dpkg")
    root = tmp_path / "root"
    for folder in ("var/lib/dpkg/updates", "var/lib/dpkg/info"):
        (root / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "var/lib/dpkg/available").touch()
    dpkg = ["dpkg", f"--root={root}", "--force-depends", "--force-script-chrootless", "--log=/dev/null"]
    run([*dpkg, "-i", package])
    assert installed(root) == FILES
    (root / "var/lib/sluice").mkdir()
    (root / "var/lib/sluice/state.log").touch()
    config = root / "etc/sluice/sluice.json"
    config.write_text(config.read_text().replace("512", "256"))
    run([*dpkg, "-i", package])
    assert '"memory_mb": 256' in config.read_text(), "an upgrade keeps the host's configuration"
    run([*dpkg, "-r", "sluice"])
    assert installed(root) == ["etc/sluice/sluice.json", "var/lib/sluice/state.log"]
    run([*dpkg, "-P", "sluice"])
    assert installed(root) == [] and not (root / "etc/sluice").exists()


def unit(root):
    return (root / "usr/lib/systemd/system/sluiced.service").read_text()


def test_the_unit_is_sound_and_hardened(unpacked, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze, which is not installed")
    # programs are looked for, and may not be installed here
    text = re.sub(r"^(Documentation=.*|ExecStart=)(/\S*)?", lambda m: m[1] + "/bin/true" if m[2] else "", unit(unpacked),
                  flags=re.MULTILINE)
    (tmp_path / "sluiced.service").write_text(text)
    verified = run(["systemd-analyze", "verify", tmp_path / "sluiced.service"], check=False)
    assert verified.returncode == 0 and "sluiced.service" not in verified.stderr, verified.stderr
    said = run(["systemd-analyze", "security", "--offline=true", "--no-pager", tmp_path / "sluiced.service"],
               check=False).stdout
    assert float(re.search(r"Overall exposure level for sluiced.service: (\S+)", said)[1]) < 5.0


@pytest.mark.parametrize("file", ["etc/sluice/sluice.json", "usr/share/doc/sluice/example.json"])
def test_the_configurations_are_good(unpacked, tmp_path, file):
    run([unpacked / "usr/bin/sluiced", "--check-config", "--config", unpacked / file, "--socket", tmp_path / "socket"])
    assert json.loads((unpacked / file).read_text())


def test_it_works_with_the_rights_that_the_unit_leaves(unpacked, tmp_path, requires):
    requires("setpriv", "nft", "ping", "busybox", "systemd-analyze")
    if not ctypes.util.find_library("seccomp"):
        pytest.skip("needs libseccomp, which is not installed")
    script = tmp_path / "day.sh"
    script.write_text(f"export ROOT={unpacked} CONFINED={ROOT}/tests/rig/confined.py PATH={unpacked}/usr/bin:$PATH\n"
                      f"{MACHINE}\n{FIRST_DAY}")
    process = Process(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
                       "timeout", "90", "bash", script])
    try:
        code = process.wait(120)
        said = process.output()
    finally:
        process.kill()
    assert code == 0 and "Nothing is down or wrong." in said, said
    assert "Seccomp:\t2" in said and "NoNewPrivs:\t1" in said, said


def with_libraries(program):
    """{path inside a guest: file} of a program and all that it loads at its start."""
    said = run(["ldd", program]).stdout
    return {f"/{program.name}": program, **{path: path for path in re.findall(r"(/\S+) \(0x", said)}}


def test_a_processor_without_avx2_is_refused_by_name(unpacked):
    qemu.require()
    # Nehalem: what Debian's DPDK runs on, and the package does not
    machine = ["qemu-system-x86_64", "-nodefaults", "-machine", "q35,accel=tcg", "-cpu", "Nehalem", "-m", "768M"]
    with qemu.Guest(machine, [], with_libraries(unpacked / "usr/bin/sluiced")) as guest:
        guest.ready()
        said = guest.run("/sluiced --version; echo ended with $?", 120)
    assert re.search(r"this processor has no avx\w*, which this build needs", said) and "ended with 1" in said, said


def test_pages_of_the_manual_can_be_read(unpacked):
    if not shutil.which("man"):
        pytest.skip("needs man, which is not installed")
    for page in (unpacked / "usr/share/man").rglob("*.gz"):
        done = subprocess.run(["man", "--warnings=w", "-l", page], capture_output=True, text=True, check=True,
                              env={**os.environ, "MANWIDTH": "110"})
        assert len(done.stdout.splitlines()) > 30 and not done.stderr, done.stderr


def test_apt_finds_what_it_depends_on(package, requires):
    requires("apt-get")
    if not run(["apt-cache", "pkgnames", "librte-meta-mempool"]).stdout:
        pytest.skip("apt has no lists here")
    said = run(["apt-get", "install", "--simulate", "--no-install-recommends", package]).stdout
    assert re.search(r"^Inst sluice ", said, re.MULTILINE), said
