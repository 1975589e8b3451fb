"""With programs that nobody here wrote: nginx and httpbin as services, curl as the client."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.process import Child, free_port, program
from tests.integration.kit.raw import Client
from tests.integration.kit.waiting import until

LARGE = Random(7).randbytes(20_000_000)

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off; absolute_redirect off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    client_max_body_size 1m;
    gzip on; gzip_types *; gzip_min_length 1;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
        location /nginx/moved {{ return 302 /nginx/index.html; }}
        location /nginx/empty {{ return 204; }}
        location /nginx/refused {{ client_max_body_size 1k; proxy_pass http://127.0.0.1:{port}/nginx/empty; }}
    }}
}}
"""


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        Client(port).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("nginx")
    files = folder / "files" / "nginx"
    files.mkdir(parents=True)
    (files / "index.html").write_text("hello from nginx\n")
    (files / "large").write_bytes(LARGE)
    port = free_port()
    # Started by root, its workers would be somebody else, who cannot read here.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, port=port) + user)
    with Child([program("nginx"), "-c", folder / "nginx.conf", "-e", folder / "error.log"], folder) as child:
        until(lambda: accepts(port) or not child.running(), "nginx listens")
        assert child.running(), child.errors.read_text()
        yield port


@pytest.fixture(scope="module")
def httpbin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("httpbin")
    port = free_port()
    with Child([sys.executable, "-m", "flask", "--app", "httpbin", "run", "-p", str(port)], folder) as child:
        until(lambda: accepts(port) or not child.running(), "httpbin listens")
        assert child.running(), child.errors.read_text()
        yield port


@pytest.fixture(scope="module")
def gateway(folder: Path, nginx: int, httpbin: int, authority: Authority) -> Iterator[Gateway]:
    services = {"nginx": service(nginx), "httpbin": service(httpbin)}
    routes = [route("/nginx/*", "nginx", "nginx"), route("/*", "httpbin", "httpbin", rewrite="/*")]
    limits = {"http": {"max_body": "64MiB"}, "upstream": {"response_timeout": "10s"}}
    certificate = authority.issue("127.0.0.1")
    with Gateway(folder, services, routes, certificate=certificate, **limits) as running:
        yield running
        assert running.failures() == []


def curl(gateway: Gateway, path: str, *options: str | Path) -> bytes:
    """What curl prints; it fails on whatever is not good HTTP."""
    command = [program("curl"), "-sS", "--max-time", "20", *map(str, options), f"http://127.0.0.1:{gateway.port}{path}"]
    return subprocess.run(command, capture_output=True, check=True, timeout=30).stdout


def told(gateway: Gateway, path: str, *options: str | Path) -> dict[str, Any]:
    """httpbin's answer."""
    value: dict[str, Any] = json.loads(curl(gateway, path, *options))
    return value


# nginx


def test_a_page(gateway: Gateway) -> None:
    assert curl(gateway, "/nginx/index.html") == b"hello from nginx\n"
    assert curl(gateway, "/nginx/index.html", "--http1.0") == b"hello from nginx\n"


def test_a_large_file_arrives_whole(gateway: Gateway) -> None:
    assert hashlib.sha256(curl(gateway, "/nginx/large")).digest() == hashlib.sha256(LARGE).digest()


def test_a_part_of_a_file(gateway: Gateway) -> None:
    assert curl(gateway, "/nginx/large", "-r", "1000-1999") == LARGE[1000:2000]


def test_compressed_answers_pass(gateway: Gateway) -> None:
    shown = curl(gateway, "/nginx/index.html", "--compressed", "-D", "-")
    assert b"content-encoding: gzip" in shown.lower()
    assert shown.endswith(b"hello from nginx\n")


def test_redirects_statuses_and_head(gateway: Gateway) -> None:
    assert curl(gateway, "/nginx/moved", "-L") == b"hello from nginx\n"
    assert curl(gateway, "/nginx/empty", "-w", "%{http_code}") == b"204"
    assert curl(gateway, "/nginx/none", "-o", "/dev/null", "-w", "%{http_code}") == b"404"
    assert b"content-length: 20000000" in curl(gateway, "/nginx/large", "-I").lower()


def test_not_modified(gateway: Gateway) -> None:
    head = curl(gateway, "/nginx/index.html", "-I").decode()
    tag = next(line.partition(": ")[2] for line in head.splitlines() if line.lower().startswith("etag"))
    shown = curl(gateway, "/nginx/index.html", "-H", f"If-None-Match: {tag}", "-w", "%{http_code}")
    assert shown == b"304"


def test_an_upload_that_nginx_refuses_early(gateway: Gateway, tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(LARGE)
    code = ("-o", "/dev/null", "-w", "%{http_code}")
    assert curl(gateway, "/nginx/refused", "--data-binary", f"@{upload}", *code) == b"413"


def test_over_tls(gateway: Gateway, authority: Authority) -> None:
    url = f"https://127.0.0.1:{gateway.secure_port}/nginx/large"
    command = [program("curl"), "-sS", "--cacert", str(authority.path), url]
    assert subprocess.run(command, capture_output=True, check=True, timeout=30).stdout == LARGE


# httpbin


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods(gateway: Gateway, method: str) -> None:
    answer = told(gateway, f"/{method.lower()}?a=1&b=%20", "-X", method)
    assert answer["args"] == {"a": "1", "b": " "}


def test_uploads_with_and_without_expect(gateway: Gateway, tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(b"0123456789" * 200_000)
    for options in (("-H", "Expect:"), ("-H", "Expect: 100-continue")):
        answer = told(gateway, "/put", "-T", upload, *options)
        assert len(answer["data"]) == 2_000_000


def test_a_form_with_a_file(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("written by hand")
    answer = told(gateway, "/post", "-F", "name=value", "-F", f"file=@{tmp_path / 'note'}")
    assert (answer["form"], answer["files"]) == ({"name": "value"}, {"file": "written by hand"})


@pytest.mark.parametrize("status", [200, 201, 202, 204, 301, 400, 401, 404, 418, 429, 500, 503])
def test_statuses(gateway: Gateway, status: int) -> None:
    assert curl(gateway, f"/status/{status}", "-o", "/dev/null", "-w", "%{http_code}") == str(status).encode()


def test_cookies_are_set_and_come_back(gateway: Gateway, tmp_path: Path) -> None:
    answer = told(gateway, "/cookies/set?a=1&b=2", "-L", "-c", tmp_path / "jar", "-b", tmp_path / "jar")
    assert answer["cookies"] == {"a": "1", "b": "2"}


def test_streams_and_compression(gateway: Gateway) -> None:
    assert len(curl(gateway, "/stream/20").splitlines()) == 20
    assert len(curl(gateway, "/stream-bytes/50000")) == 50000
    assert told(gateway, "/gzip", "--compressed")["gzipped"] is True
    assert len(curl(gateway, "/drip?duration=0.3&numbytes=5")) == 5


def test_many_requests_on_one_connection(gateway: Gateway) -> None:
    url = f"http://127.0.0.1:{gateway.port}/nginx/index.html"
    command = [program("curl"), "-sS", "-w", "%{num_connects}\n", "-o", "/dev/null"]
    shown = subprocess.run([*command, *[url, "-o", "/dev/null"] * 20, url], capture_output=True, check=True, timeout=30)
    assert sum(map(int, shown.stdout.split())) == 1
