"""The service behind every proxy: nginx on the core of the load, three sizes of answers, uploads read whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import LOAD_CORE, Running, answers, free_port, start, wait_ready

SMALL = "/api/v1/players/1"
FRESH = "/api/v1/players/2"
"""As small, and no two heads of its answers are the same."""
MIDDLE = "/api/v1/players/65536"
LARGE = "/api/v1/players/1048576"
GIGABYTE = "/api/v1/players/1073741824"
UPLOAD = "/api/v1/players/upload"
WHICH = "/api/v1/players/which"
"""Answers with the port that was asked."""
SIZES = {SMALL: 300, FRESH: 300, MIDDLE: 64 << 10, LARGE: 1 << 20, GIGABYTE: 1 << 30}

# An upload is read into memory to its end (client_body_buffer_size; buffering is on), and only then is a server of
# nginx itself asked, without the body, for the 204: `return 204` at the first place would answer before reading.
TEMPLATE = """
daemon off; worker_processes 1; worker_rlimit_nofile 20000; {user}
error_log {folder}/origin-error.log; pid {folder}/origin.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; default_type application/octet-stream;
  keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/origin-body; proxy_temp_path {folder}/origin-proxy;
  fastcgi_temp_path {folder}/origin-f; uwsgi_temp_path {folder}/origin-u; scgi_temp_path {folder}/origin-s;
  upstream done {{ server unix:{folder}/done.sock; keepalive 64; }}
  server {{ listen unix:{folder}/done.sock; return 204; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    listen 127.0.0.1:{second} backlog=4096;
    root {folder}/files;
    location = {fresh} {{ add_header X-Served $request_id; }}
    location = /health {{ return 200; }}
    location = {which} {{ return 200 $server_port; }}
    location = {upload} {{
      client_max_body_size 0; client_body_buffer_size 2m;
      proxy_pass http://done; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_pass_request_body off; proxy_set_header Content-Length "";
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """The running service; `second` is another port of it, for those who balance."""

    port: int
    running: Running
    second: int


def start_origin(folder: Path) -> Origin:
    """Write the files and start nginx.

    Raises NotReadyError.
    """
    port, second = free_port(), free_port()
    for path, size in SIZES.items():
        file = folder / "files" / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            if size <= 1 << 20:
                stream.write(bytes(32 + index % 90 for index in range(size)))
            else:
                stream.truncate(size)  # a hole: nothing is read from a disk
    configuration = folder / "origin.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    paths = {"upload": UPLOAD, "fresh": FRESH, "which": WHICH}
    configuration.write_text(TEMPLATE.format(folder=folder, port=port, second=second, user=user, **paths))
    running = start(
        "origin", ["nginx", "-e", str(folder / "origin-error.log"), "-c", str(configuration)], LOAD_CORE, folder
    )
    wait_ready(running, lambda: answers(port, SMALL))
    return Origin(port, running, second)
