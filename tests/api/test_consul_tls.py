"""TLS of the HTTP API: whom it shows itself to be, whose clients it takes, and files that are not what they should be."""

import http.client
import json
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from rig import wait
from rig.certs import Authority
from rig.daemon import program
from rig.ports import free_port


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """ours, theirs: an authority that the daemon knows and one that it does not; server: its (certificate, key)."""
    folder = tmp_path_factory.mktemp("pki")
    ours, theirs = Authority(folder, "ours"), Authority(folder, "theirs")

    class Pki:
        pass

    pki = Pki()
    pki.folder, pki.ours, pki.theirs, pki.server = folder, ours, theirs, ours.issue("server")
    return pki


@pytest.fixture
def start(start_sluiced, pki):
    """Starts a daemon that serves HTTPS: start(http_token="x") -> (daemon, port)."""

    def start(**control):
        port = free_port()
        return start_sluiced({"control": {"http": f"127.0.0.1:{port}", "http_tls_cert": str(pki.server[0]),
                                          "http_tls_key": str(pki.server[1]), **control}}), port

    return start


def ask(port, authority, pair=None, method="GET", path="/v1/catalog/services", body=None, version=None):
    """Status and body of one HTTPS request by a client that trusts `authority` and shows `pair`."""
    context = ssl.create_default_context(cafile=authority.cert)
    if pair:
        context.load_cert_chain(*pair)
    if version:
        context.minimum_version = context.maximum_version = version
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def is_sent_away(port, authority, pair=None):
    """The server ends the handshake, or the connection before it has answered."""
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        ask(port, authority, pair)
    return True


def test_only_clients_with_a_certificate_of_ours_are_served(start, pki):
    port = start(http_tls_client_ca=str(pki.ours.cert))[1]
    client = pki.ours.issue("client")
    assert ask(port, pki.ours, client, "PUT", "/v1/agent/service/register", '{"Name": "web"}')[0] == 200
    assert json.loads(ask(port, pki.ours, client)[1]) == {"consul": [], "web": []}
    assert is_sent_away(port, pki.ours)
    assert is_sent_away(port, pki.ours, pki.theirs.issue("client"))
    assert is_sent_away(port, pki.ours, pki.ours.issue("late", expired=True))
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.settimeout(20)
        plain.sendall(b"GET /v1/catalog/services HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in plain.recv(1000)
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, pki.theirs, client)
    assert ask(port, pki.ours, client)[0] == 200


def test_curl_with_and_without_its_certificate(start, pki, requires):
    requires("curl")
    port = start(http_tls_client_ca=str(pki.ours.cert))[1]
    cert, key = pki.ours.issue("curl")
    argv = ["curl", "-sS", "--max-time", "20", "--cacert", pki.ours.cert, f"https://localhost:{port}/v1/status/leader"]
    done = subprocess.run([*argv, "--cert", cert, "--key", key], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and ":8300" in done.stdout
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode != 0 and done.stdout == "" and "alert" in done.stderr


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name)
def test_without_an_authority_anyone_may_ask(start, pki, version):
    port = start()[1]
    assert ask(port, pki.ours, version=version)[0] == 200


def test_old_versions_are_not_spoken(start, pki):
    port = start()[1]
    context = ssl.create_default_context(cafile=pki.ours.cert)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", port), 20) as sock, pytest.raises(ssl.SSLError, match="version"):
        context.wrap_socket(sock, server_hostname="127.0.0.1")


def test_a_token_is_still_demanded(start, pki):
    port = start(http_token="s3cret")[1]
    assert ask(port, pki.ours)[0] == 403
    assert ask(port, pki.ours, path="/v1/catalog/services?token=s3cret")[0] == 200


def test_a_query_waits_and_a_large_body_comes_whole(start, pki):
    port = start()[1]
    meta = {f"k{i}": "v" * 500 for i in range(60)}
    assert ask(port, pki.ours, None, "PUT", "/v1/agent/service/register", json.dumps({"Name": "web", "Meta": meta}))[0] == 200
    value = "x" * 500_000
    assert ask(port, pki.ours, None, "PUT", "/v1/kv/large", value)[0] == 200
    assert ask(port, pki.ours, path="/v1/kv/large?raw")[1] == value.encode()
    index = json.loads(ask(port, pki.ours, path="/v1/catalog/service/web")[1])[0]["ModifyIndex"]
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(
        ask(port, pki.ours, path=f"/v1/catalog/service/web?index={index}&wait=60s")), daemon=True)
    waiting.start()
    while waiting.is_alive():  # whether it asked before the change or after, it is answered with it
        assert ask(port, pki.ours, None, "PUT", "/v1/agent/service/register", '{"Name": "web", "Port": 81}')[0] == 200
        waiting.join(1)
    assert json.loads(answers[0][1])[0]["ServicePort"] == 81


def test_beyond_loopback_certificates_of_clients_are_enough(start_sluiced, start, pki):
    with pytest.raises(AssertionError, match="not a loopback address.*http_tls_client_ca"):
        start(http=f"0.0.0.0:{free_port()}")
    start(http=f"0.0.0.0:{free_port()}", http_tls_client_ca=str(pki.ours.cert))


def test_files_are_read_again_on_sighup(start, pki):
    live = [pki.folder / name for name in ("live.crt", "live.key", "live-ca.crt")]

    def put(pair, authority):
        for path, source in zip(live, (*pair, authority.cert)):
            path.write_bytes(source.read_bytes())

    def reload(says):
        before = daemon.log().count(says)
        daemon.process.send_signal(signal.SIGHUP)
        wait.until(lambda: daemon.log().count(says) > before, says)

    put(pki.server, pki.ours)
    daemon, port = start(http_tls_cert=str(live[0]), http_tls_key=str(live[1]), http_tls_client_ca=str(live[2]))
    ours, theirs = pki.ours.issue("old"), pki.theirs.issue("new")
    assert ask(port, pki.ours, ours)[0] == 200
    live[2].write_text("spoiled")
    reload("live-ca.crt: holds no certificate")
    assert ask(port, pki.ours, ours)[0] == 200
    put(pki.theirs.issue("server"), pki.theirs)
    reload("reloaded")
    assert ask(port, pki.theirs, theirs)[0] == 200
    assert is_sent_away(port, pki.theirs, ours)


# One file is not what it should be: what the daemon says of it.
WRONG = {
    "cert-missing": ({"http_tls_cert": "{dir}/none"}, "control.http_tls_cert: {dir}/none: No such file or directory"),
    "key-missing": ({"http_tls_key": "{dir}/none"}, "control.http_tls_key: {dir}/none: No such file or directory"),
    "ca-missing": ({"http_tls_client_ca": "{dir}/none"}, "control.http_tls_client_ca: {dir}/none: No such file or directory"),
    "cert-is-none": ({"http_tls_cert": "{dir}/rubbish"}, "control.http_tls_cert: {dir}/rubbish: holds no certificate that can be used"),
    "key-is-none": ({"http_tls_key": "{dir}/rubbish"}, "control.http_tls_key: {dir}/rubbish: holds no key without a password"),
    "key-locked": ({"http_tls_key": "{dir}/locked.key"}, "control.http_tls_key: {dir}/locked.key: holds no key without a password"),
    "key-of-another": ({"http_tls_key": "{dir}/theirs-other.key"}, "control.http_tls_key: {dir}/theirs-other.key: is not the key of {dir}/ours-server.crt"),
    "ca-is-none": ({"http_tls_client_ca": "{dir}/rubbish"}, "control.http_tls_client_ca: {dir}/rubbish: holds no certificate that can be used"),
    "cert-alone": ({"http_tls_key": None}, "control.http_tls_key: needed for TLS"),
    "key-alone": ({"http_tls_cert": None}, "control.http_tls_cert: needed for TLS"),
    "ca-alone": ({"http_tls_cert": None, "http_tls_key": None, "http_tls_client_ca": "{dir}/ours.crt"}, "control.http_tls_cert: needed for TLS"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_file_is_named(pki, tmp_path, wrong):
    (pki.folder / "rubbish").write_text("-----BEGIN RUBBISH-----\n")
    pki.theirs.issue("other")
    subprocess.run(["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", pki.server[1], "-out",
                    pki.folder / "locked.key"], check=True, capture_output=True)
    changes, says = WRONG[wrong]
    control = {"http": "127.0.0.1:0", "http_tls_cert": str(pki.server[0]), "http_tls_key": str(pki.server[1])}
    control |= {key: value and value.format(dir=pki.folder) for key, value in changes.items()}
    config = tmp_path / "sluice.json"
    config.write_text(json.dumps({"control": {key: value for key, value in control.items() if value}}))
    done = subprocess.run([program("sluiced"), "--check-config", "--config", config], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60)
    assert (done.returncode, done.stderr) == (1, f"sluiced: {config}: {says.format(dir=pki.folder)}\n")


def test_chunks_with_extensions_over_tls(start, pki):
    _, port = start()
    context = ssl.create_default_context(cafile=pki.ours.cert)
    context.check_hostname = False
    head = b"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as sock, context.wrap_socket(sock) as tls:
        tls.settimeout(wait.PATIENCE_S)
        for part in (head + b"2;a=b\r\nab\r\n0", b";c\r\nX: y\r\n", b"\r\n" + head + b"1\r\nc\r\n1;", b"d\r\nd\r\n0\r\n\r\n"):
            tls.sendall(part)
        tls.sendall(b"GET /v1/kv/a?raw HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        got = b""
        while (part := tls.recv(65536)):
            got += part
    assert got.count(b"HTTP/1.1 200 OK") == 3 and got.endswith(b"\r\n\r\ncd"), got
