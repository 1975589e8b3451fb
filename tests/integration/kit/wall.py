"""Runs a Python program whose wall clock shows what a file says: `wall.py FILE PROGRAM [ARGUMENT...]`.

libfaketime would do the same for any program, but it also stands between a thread and the lock that it waits for: with
two threads and a busy machine a program then stands still for seconds.
"""

import runpy
import sys
import time

_now, _now_ns = time.time, time.time_ns


def main(file: str, program: str, *arguments: str) -> None:
    """`file` holds the seconds that the clock is ahead; it is read each time that somebody looks at the clock."""

    def off() -> int:
        with open(file) as shown:
            return int(shown.read())

    time.time = lambda: _now() + off()
    time.time_ns = lambda: _now_ns() + off() * 1_000_000_000
    sys.argv = [program, *arguments]
    sys.path[0] = ""
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
