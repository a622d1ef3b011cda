// SPDX-License-Identifier: Apache-2.0
// Collecting a file's allocator functions.
#include "user/elf/module_functions.h"

#include <algorithm>
#include <utility>

namespace alloctrail {
namespace {

/// The pass under way.
class Collector {
 public:
  explicit Collector(const CodeFile& file) : file_(file) {}

  void add(const ElfFunction& symbol) {
    if (const auto kind = find_allocator_function(symbol.name)) {
      if (symbol.local)
        local_.emplace_back(*kind, symbol);
      else
        add_function(*kind, symbol);
    }
    if (const auto allocator = marked_allocator(symbol.name)) out_.allocator = std::max(out_.allocator, *allocator);
    if (never_returns(symbol.name)) out_.never_returning.insert(symbol.address);
    if (const std::string_view reason = reason_not_traced(symbol.name); !reason.empty()) {
      std::string line = std::string(symbol.name) + ": " + std::string(reason);
      if (std::ranges::find(out_.not_traced, line) == out_.not_traced.end()) out_.not_traced.push_back(std::move(line));
    }
    if (!symbol.local && file_.imports(symbol.name))
      out_.imported_definitions.emplace(std::string(symbol.name), symbol.address);
  }

  /// Linkers make malloc local in position-independent static programs, and where libraries are linked in hidden. In a
  /// file that is known to hold an allocator a local malloc is that; anywhere else it is some function of that name.
  ModuleFunctions finish() {
    if (out_.allocator != Allocator::Custom)
      for (const auto& [kind, symbol] : local_) add_function(kind, symbol);
    return std::move(out_);
  }

  void mark(Allocator allocator) { out_.allocator = allocator; }

 private:
  void add_function(const AllocatorFunction& kind, const ElfFunction& symbol) {
    const auto [at, added] = out_.allocator_functions.try_emplace(symbol.address);
    DefinedFunction& function = at->second;
    function.size = std::max(function.size, symbol.size);
    if (!added && function.kind.rank <= kind.rank) return;
    function.kind = kind;
    function.name = symbol.name;
    function.address = symbol.address;
  }

  const CodeFile& file_;
  ModuleFunctions out_;
  std::vector<std::pair<AllocatorFunction, ElfFunction>> local_;  // names live as long as the file is open
};

}  // namespace

bool ModuleFunctions::defines_allocator() const {
  return std::ranges::any_of(allocator_functions, [](const auto& entry) { return !entry.second.kind.cpp_operator; });
}

ModuleFunctions collect_functions(const CodeFile& file) {
  Collector collector(file);
  if (const auto allocator = marked_allocator(file.soname())) collector.mark(*allocator);
  file.each_function([&](const ElfFunction& symbol) { collector.add(symbol); });
  return collector.finish();
}

}  // namespace alloctrail
