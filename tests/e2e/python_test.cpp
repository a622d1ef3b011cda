// SPDX-License-Identifier: Apache-2.0
// python3 parsing JSON with one malloc per object: our growth against its own sys.getsizeof.
#include <gtest/gtest.h>

#include <string>

#include "tests/e2e/real_program.h"
#include "tests/support/leftovers.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

/// "busy" parses and drops, "keep" parses and keeps. Each answers with a check sum of what it parsed and, for what it
/// keeps, the sum of the sizes Python asked malloc for.
constexpr const char* kScript = R"(
import gc, json, os, sys, zlib

def parse(count):
    text = json.dumps([{"id": i, "name": "n%d" % i, "values": [i * 0.5, i * 0.25], "note": "x" * (i % 300)}
                       for i in range(count)])
    return json.loads(text)

def size(thing, seen):
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    total = sys.getsizeof(thing)
    if isinstance(thing, dict):
        total += sum(size(k, seen) + size(v, seen) for k, v in thing.items())
    elif isinstance(thing, list):
        total += sum(size(v, seen) for v in thing)
    return total

def check(things):
    return zlib.crc32(json.dumps(things).encode())

kept = []
print("ready", os.getpid(), flush=True)
for line in sys.stdin:
    if line == "busy\n":
        answer = {"crc": check([parse(4000) for _ in range(3)][0])}
    else:
        kept.append(parse(4000))
        answer = {"crc": check(kept[-1]), "bytes": size(kept[-1], set())}
    gc.collect()
    print(json.dumps(answer), flush=True)
)";

class Python : public RealProgram {};

TEST_F(Python, GrowthAgreesWithGetsizeofAndResultsAreUnchanged) {
  Workload python({.arguments = {"/usr/bin/python3", "-c", kScript}, .environment = {"PYTHONMALLOC=malloc"}}, deadline);
  const json untraced = python.go("busy");
  python.go_without_truth("busy");
  Tracer tracer({python.pid()}, deadline);
  const json attached_busy = json::parse(python.child().read_line());
  EXPECT_EQ(attached_busy.at("crc"), untraced.at("crc"));
  const json before = tracer.snapshot();
  const json kept = python.go("keep");
  const json after = tracer.snapshot();
  EXPECT_EQ(kept.at("crc"), untraced.at("crc"));
  expect_close("python3, 4,000 objects", growth(before, after), kept.at("bytes").get<uint64_t>(), 0.05);
  EXPECT_TRUE(after.at("accounting").at("balanced").get<bool>()) << after.at("accounting");
  expect_nothing_lost(after);
  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(changed_text(python.pid()), std::vector<std::string>{});
  EXPECT_EQ(python.go("busy").at("crc"), untraced.at("crc"));
}

}  // namespace
}  // namespace alloctrail::test
