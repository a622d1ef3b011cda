// SPDX-License-Identifier: Apache-2.0
// The real programs that section "programs" measures.
#pragma once

#include "tests/bench/bench.h"

namespace alloctrail::bench {

nlohmann::json measure_redis(const Options& options, const test::Deadline& deadline);
nlohmann::json measure_nginx(const Options& options, const test::Deadline& deadline);

}  // namespace alloctrail::bench
