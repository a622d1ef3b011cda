// SPDX-License-Identifier: Apache-2.0
// Comparing stacks: exact ones first, so that a stack that is cut short cannot take the place of a whole one.
#include "tests/support/stack_truth.h"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "alloctrail/records.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

constexpr size_t kMaxMisses = 20;

/// One distinct stack of the report.
struct Reported {
  CallStack calls;
  std::string status;
  size_t frame_count = 0;
  uint64_t blocks = 0;
};

uint64_t address_of(const json& frame) {
  return std::stoull(frame.at("address").get<std::string>(), nullptr, 16);
}

/// Inlined functions share the address of the function they are in.
CallStack physical_frames(const json& site) {
  CallStack frames;
  for (const json& frame : site.at("stack"))
    if (!frame.at("inlined").get<bool>()) frames.push_back(address_of(frame));
  return frames;
}

bool is_prefix(const CallStack& shorter, const CallStack& longer) {
  return shorter.size() <= longer.size() && std::equal(shorter.begin(), shorter.end(), longer.begin());
}

std::string in_words(const CallStack& stack) {
  std::ostringstream out;
  out << std::hex;
  for (const uint64_t address : stack) out << ' ' << address;
  return out.str();
}

class Comparer {
 public:
  explicit Comparer(const StackTruth& truth) : left_(truth.blocks) {}

  /// Takes the blocks of an exactly equal stack, as far as there are any.
  void take_equal(Reported& stack) {
    const bool whole = stack.status == "complete" || stack.status == "frame_pointers";
    const auto found = left_.find(stack.calls);
    if (!whole || found == left_.end()) return;
    const uint64_t blocks = take(stack, found);
    result_.equal += blocks;
    if (stack.status == "frame_pointers") result_.guessed += blocks;
  }

  /// Takes what is left of a stack from truths that go on where it ends, or that end where it goes on.
  void take_rest(Reported& stack) {
    const bool whole = stack.status == "complete";
    for (auto truth = left_.begin(); truth != left_.end() && stack.blocks > 0;) {
      const auto next = std::next(truth);
      if (!whole && is_prefix(stack.calls, truth->first)) {
        const uint64_t blocks = take(stack, truth);
        if (stack.status == "truncated" && stack.frame_count == AT_MAX_FRAMES)
          result_.truncated += blocks;
        else
          miss(stack, result_.incomplete[stack.status], blocks, "ends early");
      } else if (!whole && is_prefix(truth->first, stack.calls)) {
        result_.beyond += take(stack, truth);
      }
      truth = next;
    }
    if (stack.blocks > 0) miss(stack, result_.wrong, stack.blocks, "WRONG");
  }

  StackComparison finish() {
    for (const auto& [calls, blocks] : left_) {
      result_.missing += blocks;
      if (result_.misses.size() < kMaxMisses)
        result_.misses.push_back(std::to_string(blocks) + " blocks in no site:" + in_words(calls));
    }
    return std::move(result_);
  }

 private:
  using Left = std::map<CallStack, uint64_t>;

  uint64_t take(Reported& stack, Left::iterator truth) {
    const uint64_t blocks = std::min(stack.blocks, truth->second);
    stack.blocks -= blocks;
    truth->second -= blocks;
    if (truth->second == 0) left_.erase(truth);
    return blocks;
  }

  void miss(const Reported& stack, uint64_t& figure, uint64_t blocks, const char* what) {
    figure += blocks;
    if (result_.misses.size() < kMaxMisses)
      result_.misses.push_back(std::to_string(blocks) + " blocks, " + stack.status + ", " + what + ":" +
                               in_words(stack.calls));
  }

  Left left_;
  StackComparison result_;
};

}  // namespace

StackTruth stack_truth_of(const json& printed) {
  StackTruth truth;
  truth.allocating = {printed.at("allocate_begin").get<uint64_t>(), printed.at("allocate_end").get<uint64_t>()};
  for (const json& stack : printed.at("stacks"))
    truth.blocks[stack.at("frames").get<CallStack>()] += stack.at("blocks").get<uint64_t>();
  return truth;
}

uint64_t StackComparison::incomplete_blocks() const {
  return std::accumulate(incomplete.begin(), incomplete.end(), uint64_t{0},
                         [](uint64_t sum, const auto& entry) { return sum + entry.second; });
}

uint64_t StackComparison::compared() const {
  return equal + truncated + beyond + incomplete_blocks();
}

std::ostream& operator<<(std::ostream& out, const StackComparison& comparison) {
  out << comparison.compared() << " blocks compared: " << comparison.equal << " equal (" << comparison.guessed
      << " with frame pointers), " << comparison.truncated << " truncated, " << comparison.beyond << " beyond";
  for (const auto& [status, blocks] : comparison.incomplete) out << ", " << blocks << " " << status;
  out << ", " << comparison.missing << " missing, " << comparison.wrong << " WRONG\n";
  for (const std::string& miss : comparison.misses) out << "  " << miss << "\n";
  return out;
}

CallStack calls_outside(const json& site, const CodeRange& allocating) {
  const CallStack frames = physical_frames(site);
  const auto inner = std::find_if(frames.begin(), frames.end(), [&](uint64_t a) { return allocating.contains(a); });
  return inner == frames.end() ? CallStack() : CallStack(inner + 1, frames.end());
}

StackComparison compare_stacks(const json& report, const StackTruth& truth) {
  std::vector<Reported> stacks;
  for (const json& site : report.at("sites")) {
    CallStack calls = calls_outside(site, truth.allocating);
    if (calls.empty()) continue;
    stacks.push_back({.calls = std::move(calls),
                      .status = site.at("stack_status").get<std::string>(),
                      .frame_count = physical_frames(site).size(),
                      .blocks = site.at("allocated_blocks").get<uint64_t>()});
  }
  Comparer comparer(truth);
  for (Reported& stack : stacks) comparer.take_equal(stack);
  for (Reported& stack : stacks)
    if (stack.blocks > 0) comparer.take_rest(stack);
  return comparer.finish();
}

}  // namespace alloctrail::test
