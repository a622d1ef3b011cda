// SPDX-License-Identifier: Apache-2.0
// Planning the probes of one file: which of its allocator functions see calls that no other one sees, and at which
// instructions each is probed. Every function found is either planned or named with the reason why not.
#include "user/elf/probe_plan.h"

#include <algorithm>
#include <utility>

#include "user/elf/code_walk.h"
#include "user/elf/elf_file.h"
#include "user/elf/instruction.h"
#include "user/elf/module_functions.h"
#include "user/elf/probe_site.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxFunctionBytes = 32768;  // read to look for jumps into the function's beginning
constexpr size_t kUnsizedFunctionBytes = 1024;
constexpr size_t kMaxReturnSites = 64;

class Planner {
 public:
  explicit Planner(const CodeFile& file)
      : file_(file),
        functions_(collect_functions(file)),
        decoder_(make_decoder(Architecture::X86_64)),
        walker_(file, *decoder_, functions_) {}

  ModulePlan run() {
    if (functions_.allocator_functions.empty()) return {};
    if (file_.is_glibc_loader()) {
      note("malloc", "the loader's own, in use only until libc is loaded");
    } else if (!functions_.defines_allocator()) {
      note("operator new and delete", "defined without a malloc beside them; they are seen at the malloc they call");
    } else {
      plan_.allocator = allocator_name(functions_.allocator);
      plan_.notes = functions_.not_traced;
      for (const DefinedFunction* function : by_rank()) plan(*function);
    }
    return std::move(plan_);
  }

 private:
  std::vector<const DefinedFunction*> by_rank() const {
    std::vector<const DefinedFunction*> out;
    for (const auto& [address, function] : functions_.allocator_functions) out.push_back(&function);
    std::ranges::stable_sort(out, {}, [](const DefinedFunction* function) { return function->kind.rank; });
    return out;
  }

  void plan(const DefinedFunction& function) {
    if (file_.read_code(function.address, 1).empty()) return leave_out(function.name, "its code is not in the file");
    switch (function.kind.role) {
      case Role::Allocate:
        return plan_allocation(function);
      case Role::AllocateThrowing:
        return plan_throwing(function);
      case Role::Release:
        return plan_release(function);
    }
  }

  /// A C function is left out only if all it does is to jump on: what it calls is nested in it for the kernel side,
  /// and a failure of its own (an overflow in calloc) would go unseen. C++ operators fail by failing allocations only.
  void plan_allocation(const DefinedFunction& function) {
    const AtCall at_call = function.kind.cpp_operator ? AtCall::End : AtCall::GoOn;
    if (!function.kind.rounds_size &&
        hands_on(function, walker_.walk(function.address, CalleeKind::Allocating, at_call)))
      return;
    add_entry(function, ProbeMoment::EntryAndReturn, is_leaf(function) ? AT_PROBE_LEAF : 0);
  }

  /// Known allocators do their work inside, or in a function that they call by its name; others may be wrappers. A realloc
  /// must not free through a probed function either.
  bool is_leaf(const DefinedFunction& function) {
    if (functions_.allocator == Allocator::Custom) return false;
    const bool resizes = function.kind.shape == AT_SHAPE_REALLOC || function.kind.shape == AT_SHAPE_REALLOC_ARRAY;
    return !calls_any(function, CalleeKind::Allocating) && !(resizes && calls_any(function, CalleeKind::Releasing));
  }

  bool calls_any(const DefinedFunction& function, CalleeKind kind) {
    return !walker_.walk(function.address, kind, AtCall::End).handed_to.empty();
  }

  void plan_release(const DefinedFunction& function) {
    const CodeWalk walk = walker_.walk(function.address, CalleeKind::Releasing, AtCall::End);
    if (hands_on(function, walk)) return;
    // A free that is not known from inside may be a wrapper around the next library's.
    const bool may_hand_on = !walk.handed_to.empty() || functions_.allocator == Allocator::Custom;
    add_entry(function, ProbeMoment::Entry, may_hand_on ? AT_PROBE_HANDS_ON : 0);
  }

  /// A return probe replaces the return address, which the exception's unwinder then cannot pass. The return
  /// instructions themselves are probed instead: all of them, those of functions it jumps to included.
  void plan_throwing(const DefinedFunction& function) {
    if (hands_on(function, walker_.walk(function.address, CalleeKind::Allocating, AtCall::End))) return;
    const CodeWalk walk = walker_.walk(function.address, CalleeKind::Allocating, AtCall::GoOn);
    if (!walk.incomplete.empty())
      return leave_out(function.name, "its returns cannot all be found: " + walk.incomplete);
    if (walk.returns.size() > kMaxReturnSites)
      return leave_out(function.name, "it has " + std::to_string(walk.returns.size()) + " return instructions");
    add_entry(function, ProbeMoment::Entry, AT_PROBE_THROWS);
    for (const uint64_t address : walk.returns) add_return_site(function, address);
  }

  /// Leaves a function out if others of its kind see all of its calls. Two that pass calls to each other stay in.
  bool hands_on(const DefinedFunction& function, const CodeWalk& walk) {
    if (!walk.hands_all_on()) return false;
    for (const auto& [name, receivers] : left_out_)
      if (std::ranges::find(walk.handed_to, name) != walk.handed_to.end() &&
          std::ranges::find(receivers, function.name) != receivers.end())
        return false;
    std::string names;
    for (const std::string& name : walk.handed_to) names += (names.empty() ? "" : ", ") + name;
    note(function.name, "all its calls are seen at " + names);
    left_out_.emplace_back(function.name, walk.handed_to);
    return true;
  }

  void add_entry(const DefinedFunction& function, ProbeMoment moment, uint32_t flags) {
    const at_shape shape = function.kind.shape;
    const size_t bytes =
        function.size == 0 ? kUnsizedFunctionBytes : std::min<uint64_t>(function.size, kMaxFunctionBytes);
    const SiteUse use = moment == ProbeMoment::EntryAndReturn ? SiteUse::EntryAndReturn : SiteUse::EntryOnly;
    const SiteChoice site = choose_site(*decoder_, file_.read_code(function.address, bytes), shape, use);
    if (function.kind.zero_may_free && zero_realloc_frees(functions_.allocator)) flags |= AT_PROBE_ZERO_FREES;
    add({function.name, shape, flags, moment, 0, site.pushed_bytes, site.reason}, function.address + site.offset);
  }

  void add_return_site(const DefinedFunction& function, uint64_t address) {
    const std::string where = address >= function.address && address - function.address < function.size
                                  ? "+" + std::to_string(address - function.address)
                                  : "in a function it jumps to";
    add({function.name, function.kind.shape, AT_PROBE_THROWS, ProbeMoment::ReturnSite, 0, 0,
         where + ": ret, since a return probe cannot stand on a function that throws"},
        address);
  }

  /// One probe per place: operators that end in one function share its return instructions.
  void add(PlannedProbe probe, uint64_t address) {
    const auto offset = file_.file_offset(address);
    if (!offset) return leave_out(probe.function, "its code is not in the file");
    probe.file_offset = *offset;
    const auto same_place = [&](const PlannedProbe& other) {
      return other.file_offset == probe.file_offset && other.moment == probe.moment;
    };
    if (std::ranges::none_of(plan_.probes, same_place)) plan_.probes.push_back(std::move(probe));
  }

  void note(const std::string& function, const std::string& why) { plan_.notes.push_back(function + ": " + why); }

  void leave_out(const std::string& function, const std::string& why) {
    plan_.not_hooked.push_back(function + ": " + why);
  }

  const CodeFile& file_;
  const ModuleFunctions functions_;
  const std::unique_ptr<Decoder> decoder_;
  CodeWalker walker_;
  ModulePlan plan_;
  std::vector<std::pair<std::string, std::vector<std::string>>> left_out_;  // and who sees their calls
};

}  // namespace

Result<ModulePlan> plan_probes(int fd, const std::string& name) {
  Result<CodeFile> file = CodeFile::open(fd, name);
  if (!file) return std::move(file).error();
  return Planner(*file).run();
}

}  // namespace alloctrail
