"""The Python side of the cost benchmark: worker.c's orders, carried out through the binding.

    python3 worker.py PORT
"""

import os
import resource
import sys
import threading
import time

import imgtask

TASK = "img_7f3a9c21"


def look(client, base):
    task = client.fetch(TASK)
    image = task.images[0]
    if task.state is not imgtask.State.SUCCEEDED or task.id != TASK or task.progress != 100:
        raise SystemExit("worker.py: not succeeded")
    if not image.url.startswith(base) or image.file_id != "file_51c0" or task.created_at != 1777080000:
        raise SystemExit("worker.py: not the image")


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return round(usage.ru_utime * 1e6), round(usage.ru_stime * 1e6)


def main():
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    base = f"http://127.0.0.1:{sys.argv[1]}"
    client = imgtask.Client("dimilinks", api_key="sk-bench-0000000000000000000000000000", base_url=base, request_timeout=20)
    first = None
    for order in sys.stdin:
        if order == "end\n":
            break
        warm_up, looks = map(int, order.split())
        for _ in range(warm_up):
            look(client, base)
        start = time.perf_counter_ns()
        for _ in range(looks):
            look(client, base)
        print(time.perf_counter_ns() - start, flush=True)
        if first is None:
            first, threads = cpu(), threading.active_count()
    last = cpu()
    print(last[0] - first[0], last[1] - first[1], threading.active_count() - threads, flush=True)


main()
