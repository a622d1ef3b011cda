// SPDX-License-Identifier: Apache-2.0
#include "user/oom/self_protection.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string_view>

#include "user/handles.h"

namespace alloctrail {
namespace {

// Low enough to be passed over for anything that leaks, and not -1000: nobody should be out of the kernel's reach.
constexpr std::string_view kOomScoreAdjustment = "-900";

}  // namespace

void protect_ourselves() {
  // What is mapped later (debug information) is large and can be read again.
  (void)mlockall(MCL_CURRENT);
  const UniqueFd file(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (file) (void)!write(file.get(), kOomScoreAdjustment.data(), kOomScoreAdjustment.size());
}

}  // namespace alloctrail
