// SPDX-License-Identifier: Apache-2.0
#include "user/oom/self_protection.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "user/handles.h"
#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr const char* kScoreFile = "/proc/self/oom_score_adj";
// Low enough to be passed over for anything that leaks, and not -1000: nobody should be out of the kernel's reach.
constexpr std::string_view kProtectedScore = "-900";

bool write_score(std::string_view score) {
  const UniqueFd file(open(kScoreFile, O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), score.data(), score.size()) == static_cast<ssize_t>(score.size());
}

/// What we were started with; empty: never changed.
std::string& original_score() {
  static std::string score;
  return score;
}

}  // namespace

void protect_ourselves() {
  // What is mapped later (debug information) is large and can be read again.
  (void)mlockall(MCL_CURRENT);
  const auto score = read_small_file(kScoreFile, 64);
  if (score && write_score(kProtectedScore)) original_score() = *score;
}

UnprotectedStart::UnprotectedStart() {
  if (!original_score().empty()) (void)write_score(original_score());
}

UnprotectedStart::~UnprotectedStart() {
  if (!original_score().empty()) (void)write_score(kProtectedScore);
}

}  // namespace alloctrail
