"""An image of 4096 x 4096 pixels, decoded by a job while its host draws sixty frames a second: what `pixels.c` measures of itself."""

import contextlib
import http.server
import json
import random
import struct
import subprocess
import threading
import zlib
from pathlib import Path

BENCHES = Path(__file__).resolve().parent
SIDE = 4096
ROUNDS = 7
# Seconds that all rounds may last.
PATIENCE = 180


def photograph():
    """A PNG as hard to decode as one of a photograph: noise of four bits a channel on what is to its left."""
    noise = random.Random(1)
    steps = bytes((value & 15) - 8 & 255 for value in range(256))
    pack = zlib.compressobj(1)
    rows = [pack.compress(b"\1" + noise.randbytes(SIDE * 3).translate(steps)) for _ in range(SIDE)]
    image = b"".join([*rows, pack.flush()])
    parts = [(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)), (b"IDAT", image), (b"IEND", b"")]
    packed = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def service(stack, image):
    """The address of a service whose every task is done, and has this image."""

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            is_image = self.path == "/image.png"
            task = {"id": "img_1", "status": "completed", "data": [{"url": "/image.png"}]}
            body = image if is_image else json.dumps(task).encode()
            self.send_response(200)
            self.send_header("content-type", "image/png" if is_image else "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_address[1]}"


def measure(table, folder):
    """Adds the figures to the table. `folder` holds a link of the library."""
    program = folder / "pixels"
    subprocess.run(
        ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-I", BENCHES.parent / "include", BENCHES / "pixels.c", "-o", program]
        + [folder / "libimgtask.so.0", f"-Wl,-rpath,{folder}"],
        check=True,
    )
    image = photograph()
    with contextlib.ExitStack() as stack:
        command = [program, service(stack, image), "key", "img_1", str(ROUNDS)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if run.returncode:
        raise SystemExit(f"pixels: {run.stderr}")
    told = {name: float(value) for name, value in (line.split() for line in run.stdout.splitlines())}

    size = f"{SIDE} x {SIDE}, {len(image) / 1e6:.0f} MB"
    table.title(f"a PNG of {size}, becomes pixels on a worker, beside 60 frames a second; {ROUNDS} times, medians")
    table.figure("CPU of the decoding, ms", told["decode_ms"], ".0f")
    table.figure("frames of the host meanwhile, download included", told["frames"], ".0f")
    share = told["own_ms"] / told["decode_ms"] if told["decode_ms"] else 1.0
    # Who decoded in a frame would have a share of 1.
    table.figure("CPU of the thread that draws, beside it", share, ".4f", 0.05, counted=True)
    calls = f"next_event(client, 0, ...), {told['calls']:.0f} calls"
    table.figure(f"{calls}: p50 us", told["call_p50_us"], ".1f")
    table.figure(f"{calls}: p99.9 us", told["call_p999_us"], ".1f", 1000)
    table.figure(f"{calls}: longest us", told["call_longest_us"], ".1f")
    table.figure("imgtask_event_clear with 64 MiB of pixels, us", told["clear_us"], ".0f")
