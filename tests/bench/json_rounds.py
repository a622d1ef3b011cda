# SPDX-License-Identifier: Apache-2.0
# A json workload in rounds: "rounds N DOCUMENTS" writes and reads N times DOCUMENTS documents and answers
# {"ns": [nanoseconds per document, for each round]}.
import json
import os
import sys
import time

orders = [{"id": i, "name": "order %d" % i, "price": i * 1.25, "tags": ["a", "b", str(i)]} for i in range(50)]
document = {"orders": orders}


def one_round(documents):
    begin = time.perf_counter_ns()
    for _ in range(documents):
        json.loads(json.dumps(document))
    return (time.perf_counter_ns() - begin) / documents


print("ready", os.getpid(), flush=True)
for line in sys.stdin:
    words = line.split()
    rounds = [one_round(int(words[2])) for _ in range(int(words[1]))] if words[0] == "rounds" else []
    print(json.dumps({"ns": rounds}), flush=True)
