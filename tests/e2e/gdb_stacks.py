# SPDX-License-Identifier: Apache-2.0
# Run by gdb, attached to a process: says "ready", then prints the stack at each of the next GDB_STACKS hits of the code
# address GDB_ADDRESS, as a JSON list of program counters, and lets the process go.
import json
import os

import gdb

wanted = int(os.environ["GDB_STACKS"])


def tell(line):
    os.write(1, (line + "\n").encode())  # not through gdb, which keeps what is printed while it executes a command


class Hit(gdb.Breakpoint):
    seen = 0

    def stop(self):
        frame = gdb.newest_frame()
        counters = []
        while frame is not None:
            if frame.type() != gdb.INLINE_FRAME:
                counters.append(frame.pc())
            frame = frame.older()
        tell(json.dumps(counters))
        self.seen += 1
        return self.seen >= wanted


for setting in ("pagination off", "confirm off", "backtrace past-main on", "backtrace past-entry on"):
    gdb.execute("set " + setting)
gdb.execute("handle all nostop noprint pass", to_string=True)
hit = Hit("*" + os.environ["GDB_ADDRESS"])
tell("ready")
gdb.execute("continue", to_string=True)
hit.delete()
gdb.execute("detach", to_string=True)
