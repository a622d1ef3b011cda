// SPDX-License-Identifier: Apache-2.0
// The walk: a worklist of addresses, each instruction visited once, bounded whatever the code looks like.
#include "user/elf/code_walk.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace alloctrail {
namespace {

// The slow paths of real allocators stay below a quarter of these.
constexpr size_t kMaxInstructions = 16384;
constexpr size_t kMaxHelperInstructions = 2048;
constexpr size_t kWindowBytes = 4096;

std::string hex(uint64_t value) {
  std::string digits;
  do digits.insert(digits.begin(), "0123456789abcdef"[value & 15]);
  while ((value >>= 4) != 0);
  return "0x" + digits;
}

}  // namespace

/// One walk under way.
class WalkInProgress {
 public:
  WalkInProgress(CodeWalker& walker, uint64_t start, CalleeKind kind, AtCall at_call, size_t helper_levels)
      : walker_(walker),
        start_(start),
        kind_(kind),
        at_call_(at_call),
        helper_levels_(helper_levels),
        budget_(helper_levels > 0 || at_call == AtCall::GoOn ? kMaxInstructions : kMaxHelperInstructions) {}

  CodeWalk run() {
    pending_.push_back(start_);
    while (!pending_.empty()) {
      const uint64_t at = pending_.back();
      pending_.pop_back();
      follow(at);
    }
    std::ranges::sort(out_.returns);
    return std::move(out_);
  }

 private:
  void follow(uint64_t at) {
    bool jumped_here = true;
    NullTest null_test = at == start_ && kind_ == CalleeKind::Releasing ? NullTest::Possible : NullTest::Over;
    while (visited_.insert(at).second) {
      // Running into the next function means that the call before it does not return, by a name we do not know.
      if (!jumped_here && walker_.functions_.allocator_functions.contains(at)) return;
      jumped_here = false;
      if (visited_.size() > budget_) return give_up("its code is too long to follow");
      const auto instruction = walker_.decoder_.decode(walker_.code_at(at), at);
      if (!instruction) return give_up("the code at " + hex(at) + " cannot be decoded");
      const bool null_branches = null_test == NullTest::Done && instruction->branch_if == BranchIf::Zero;
      const bool null_falls_through = null_test == NullTest::Done && instruction->branch_if == BranchIf::NotZero;
      if (!null_branches && (!goes_on(*instruction, at) || null_falls_through)) return;
      null_test = after(null_test, *instruction);
      at += instruction->length;
    }
  }

  /// How far the straight line from the entry has come towards a branch on "argument 0 is NULL".
  enum class NullTest { Possible, Done, Over };

  static NullTest after(NullTest state, const Instruction& instruction) {
    if (state != NullTest::Possible || !instruction.plain || (instruction.arguments_written & 1) != 0)
      return NullTest::Over;
    return instruction.tests_first_argument ? NullTest::Done : NullTest::Possible;
  }

  /// Carries out one instruction; says whether the path goes on behind it.
  bool goes_on(const Instruction& instruction, uint64_t at) {
    switch (instruction.flow) {
      case Flow::Next:
        return true;
      case Flow::Stop:
        return false;
      case Flow::Return:
        out_.returns.push_back(at);
        return false;
      case Flow::Jump:
        jump(instruction, at);
        return false;
      case Flow::IndirectJump:
        jump(instruction, at);
        return false;
      case Flow::Branch:
        jump(instruction, at);
        return true;
      case Flow::Call:
      case Flow::IndirectCall:
        return returns_from(callee(instruction));
    }
    return false;
  }

  CodeWalker::Callee callee(const Instruction& instruction) {
    if (instruction.target) return walker_.resolve(*instruction.target);
    if (instruction.slot) return walker_.resolve_slot(*instruction.slot);
    return {};
  }

  void jump(const Instruction& instruction, uint64_t at) {
    const CodeWalker::Callee to = callee(instruction);
    if (note(to) || is_dead_end(to)) return;
    if (to.address != 0) {
      pending_.push_back(to.address);
    } else {
      give_up(to.name.empty() ? "it jumps to a computed address at " + hex(at)
                              : "it jumps to " + to.name + " in another file");
    }
  }

  bool returns_from(const CodeWalker::Callee& to) {
    if (is_dead_end(to)) return false;
    if (at_call_ == AtCall::GoOn) return true;
    if (note(to)) return false;
    if (helper_levels_ == 0 || to.address == 0) return true;
    const CodeWalk& inner = walker_.helper(to.address, kind_);
    if (!inner.hands_all_on()) return true;
    for (const std::string& name : inner.handed_to) note_name(name);
    return false;
  }

  bool is_dead_end(const CodeWalker::Callee& to) const {
    return walker_.functions_.never_returning.contains(to.address) || never_returns(to.name);
  }

  /// Notes `to` if it is a function of the kind looked for, other than the one the walk began in.
  bool note(const CodeWalker::Callee& to) {
    const auto defined = walker_.functions_.allocator_functions.find(to.address);
    if (defined != walker_.functions_.allocator_functions.end()) {
      if (to.address == start_ || !wanted(defined->second.kind)) return false;
      note_name(defined->second.name);
      return true;
    }
    const auto elsewhere = to.address == 0 ? find_allocator_function(to.name) : std::nullopt;
    if (!elsewhere || !wanted(*elsewhere)) return false;
    note_name(to.name);
    return true;
  }

  bool wanted(const AllocatorFunction& function) const {
    return (function.role == Role::Release) == (kind_ == CalleeKind::Releasing);
  }

  void note_name(const std::string& name) {
    if (std::ranges::find(out_.handed_to, name) == out_.handed_to.end()) out_.handed_to.push_back(name);
  }

  void give_up(std::string why) {
    if (out_.incomplete.empty()) out_.incomplete = std::move(why);
  }

  CodeWalker& walker_;
  const uint64_t start_;
  const CalleeKind kind_;
  const AtCall at_call_;
  const size_t helper_levels_;
  const size_t budget_;
  std::vector<uint64_t> pending_;
  std::unordered_set<uint64_t> visited_;
  CodeWalk out_;
};

CodeWalk CodeWalker::walk(uint64_t start, CalleeKind kind, AtCall at_call) {
  return WalkInProgress(*this, start, kind, at_call, 1).run();
}

const CodeWalk& CodeWalker::helper(uint64_t start, CalleeKind kind) {
  const auto known = helpers_.find({start, kind});
  if (known != helpers_.end()) return known->second;
  return helpers_.emplace(std::pair(start, kind), WalkInProgress(*this, start, kind, AtCall::End, 0).run())
      .first->second;
}

/// The bytes of one instruction, out of a larger read.
std::span<const uint8_t> CodeWalker::code_at(uint64_t address) {
  const auto inside = [&] { return address >= window_address_ && address - window_address_ < window_.size(); };
  if (!inside() || window_.size() - (address - window_address_) < kMaxInstructionBytes) {
    window_ = file_.read_code(address, kWindowBytes);
    window_address_ = address;
    if (!inside()) return {};
  }
  const std::span<const uint8_t> rest = std::span<const uint8_t>(window_).subspan(address - window_address_);
  return rest.first(std::min(rest.size(), kMaxInstructionBytes));
}

/// A jump target, seen through a procedure linkage stub: [endbr64;] jmp *slot.
CodeWalker::Callee CodeWalker::resolve(uint64_t target) {
  if (functions_.allocator_functions.contains(target)) return {target, {}};
  uint64_t at = target;
  for (int instructions = 0; instructions < 2; ++instructions) {
    const auto instruction = decoder_.decode(code_at(at), at);
    if (!instruction) break;
    if (instruction->flow == Flow::IndirectJump && instruction->slot) {
      Callee through = resolve_slot(*instruction->slot);
      if (!through.name.empty()) return through;
    }
    if (!instruction->plain || instruction->arguments_written != 0) break;
    at += instruction->length;
  }
  return {target, {}};
}

CodeWalker::Callee CodeWalker::resolve_slot(uint64_t slot) const {
  Callee out;
  out.name = file_.imported_function(slot);
  const auto definition = functions_.imported_definitions.find(out.name);
  if (!out.name.empty() && definition != functions_.imported_definitions.end()) out.address = definition->second;
  return out;
}

}  // namespace alloctrail
