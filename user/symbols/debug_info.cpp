// SPDX-License-Identifier: Apache-2.0
// DebugInfo: finds the unit, the function and the inlined calls at an address by its own indexes. libdw's
// dwarf_getscopes walks a whole unit at each call and recurses as deep as a file tells it to; here each unit is walked
// once, to a depth.
#include "user/symbols/debug_info.h"

#include <dwarf.h>
#include <time.h>

#include <algorithm>
#include <string_view>

#include "user/symbols/dwarf_file.h"
#include "user/symbols/line_table.h"
#include "user/symbols/range_map.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxUnits = 1 << 20;
constexpr size_t kMaxRanges = 4 << 20;  // of one unit's functions, or of all units
constexpr size_t kMaxRangesOfEntry = 1 << 18;
constexpr int kMaxDepth = 64;    // of namespaces, classes and functions in each other
constexpr int kMaxScopes = 512;  // of blocks and calls around one address
constexpr size_t kMaxInlined = 64;
constexpr size_t kMaxUnitTableBytes = 64 << 20;  // of one file
// What libdw keeps of each unit that was looked through; it is thrown away now and then.
constexpr size_t kMaxParsedUnits = 64;

constexpr auto kTimeOfAName = std::chrono::milliseconds(10);

/// Bounds the processor time spent on one file over all lookups. Looks at the clock at every 64th step.
class WorkBudget {
 public:
  explicit WorkBudget(std::chrono::nanoseconds limit) : left_(limit) {}

  void start() { started_ = now(); }
  /// More time for work that was of use.
  void add(std::chrono::nanoseconds time) { left_ += time; }
  void stop() { left_ -= now() - started_; }
  [[nodiscard]] bool is_spent() const { return left_ <= std::chrono::nanoseconds::zero(); }
  /// False when the work has to end.
  bool step() {
    if (++steps_ % 64 == 0 && now() - started_ > left_) stopped_ = true;
    return !stopped_;
  }

 private:
  static std::chrono::nanoseconds now() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }

  std::chrono::nanoseconds left_;
  std::chrono::nanoseconds started_{};
  uint64_t steps_ = 0;
  bool stopped_ = false;
};

/// Compilers describe code at the top of a unit or in namespaces, and only some of it inside of types and functions.
enum class Nesting { Outermost, Inside };

struct CompileUnit {
  Dwarf_Off entry = 0;
  RangeMap functions;         ///< value: offset of the function's entry
  RangeMap nested_functions;  ///< those inside of others and of types; looked for when the others do not have an address
  bool is_indexed = false;
  bool is_nested_indexed = false;
  std::unique_ptr<LineTable> lines;
  uint64_t last_used = 0;

  [[nodiscard]] size_t bytes() const {
    return functions.bytes() + nested_functions.bytes() + (lines ? lines->bytes() : 0);
  }
  void forget_tables() {
    functions = RangeMap();
    nested_functions = RangeMap();
    is_indexed = is_nested_indexed = false;
    lines.reset();
  }
};

bool is_namespace(int tag) {
  return tag == DW_TAG_namespace || tag == DW_TAG_module;
}

bool is_type_with_functions(int tag) {
  return tag == DW_TAG_class_type || tag == DW_TAG_structure_type || tag == DW_TAG_union_type;
}

bool is_scope(int tag) {
  return tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block || tag == DW_TAG_try_block ||
         tag == DW_TAG_catch_block || tag == DW_TAG_with_stmt;
}

std::optional<uint64_t> number_attribute(Dwarf_Die entry, unsigned name) {
  Dwarf_Attribute attribute{};
  Dwarf_Word value = 0;
  if (dwarf_attr(&entry, name, &attribute) == nullptr || dwarf_formudata(&attribute, &value) != 0) return std::nullopt;
  return value;
}

}  // namespace

class DebugInfo::Impl {
 public:
  Impl(const MappedFile& file, CodeSegments code, DebugInfoLimits limits, DebugFileSource& source)
      : dwarf_(file, limits.unpacked_bytes, source), code_(std::move(code)), budget_(limits.time) {}

  std::vector<SourceFrame> find(uint64_t address);
  void close();
  [[nodiscard]] bool is_open() const { return dwarf_.is_open(); }
  [[nodiscard]] uint64_t bytes() const { return dwarf_.bytes() + unit_table_bytes_; }
  [[nodiscard]] std::string problem() const {
    return budget_.is_spent() ? "reading its debug information takes too long" : dwarf_.problem();
  }

 private:
  template <class Visit>
  void for_each_range(Dwarf_Die entry, Visit visit);
  bool covers(Dwarf_Die entry, uint64_t address);
  void add_ranges(Dwarf_Die entry, uint64_t value, std::vector<Range>& out);
  void index_units();
  void collect_functions(Dwarf_Die parent, Nesting nesting, int depth, std::vector<Range>& out);
  RangeMap index_functions(const CompileUnit& unit, Nesting nesting);
  std::optional<Dwarf_Die> function_at(CompileUnit& unit, uint64_t address);
  std::vector<Dwarf_Die> calls_at(Dwarf_Die function, uint64_t address);
  std::string_view string_attribute(Dwarf_Die entry, unsigned name);
  LineTable read_lines(const CompileUnit& unit);
  std::vector<SourceFrame> frames_at(CompileUnit& unit, uint64_t address);
  void bound_tables(const CompileUnit& in_use);
  void forget_parsed();

  DwarfFile dwarf_;
  CodeSegments code_;
  WorkBudget budget_;
  bool are_units_indexed_ = false;
  std::vector<CompileUnit> units_;
  RangeMap unit_ranges_;  ///< value: index into units_
  size_t parsed_units_ = 0;
  size_t unit_table_bytes_ = 0;
  uint64_t clock_ = 0;
};

template <class Visit>
void DebugInfo::Impl::for_each_range(Dwarf_Die entry, Visit visit) {
  Dwarf_Addr base = 0;
  Dwarf_Addr start = 0;
  Dwarf_Addr end = 0;
  ptrdiff_t at = 0;
  for (size_t count = 0; count < kMaxRangesOfEntry && budget_.step(); ++count) {
    at = dwarf_ranges(&entry, at, &base, &start, &end);
    if (at <= 0) return;
    visit(start, end);
  }
}

bool DebugInfo::Impl::covers(Dwarf_Die entry, uint64_t address) {
  bool found = false;
  for_each_range(entry, [&](uint64_t start, uint64_t end) { found = found || (address >= start && address < end); });
  return found;
}

/// Code that the linker threw away keeps its entry, at address 0 or another place without code.
void DebugInfo::Impl::add_ranges(Dwarf_Die entry, uint64_t value, std::vector<Range>& out) {
  for_each_range(entry, [&](uint64_t start, uint64_t end) {
    if (out.size() < kMaxRanges && start < end && code_.contains(start)) out.push_back({start, end, start, value});
  });
}

void DebugInfo::Impl::index_units() {
  if (are_units_indexed_) return;
  are_units_indexed_ = true;
  std::vector<Range> ranges;
  Dwarf_CU* unit = nullptr;
  Dwarf_Half version = 0;
  uint8_t type = 0;
  Dwarf_Die entry{};
  // Without the last argument libdw does not open the .dwo files that skeleton units name.
  while (units_.size() < kMaxUnits && budget_.step() &&
         dwarf_get_units(dwarf_.handle(), unit, &unit, &version, &type, &entry, nullptr) == 0) {
    if (type != DW_UT_compile && type != DW_UT_skeleton) continue;
    add_ranges(entry, units_.size(), ranges);
    CompileUnit& added = units_.emplace_back();
    added.entry = dwarf_dieoffset(&entry);
  }
  unit_ranges_ = RangeMap(std::move(ranges));
}

void DebugInfo::Impl::collect_functions(Dwarf_Die parent, Nesting nesting, int depth, std::vector<Range>& out) {
  Dwarf_Die entry{};
  if (depth > kMaxDepth || dwarf_child(&parent, &entry) != 0) return;
  do {
    if (!budget_.step()) return;
    const int tag = dwarf_tag(&entry);
    const bool is_function = tag == DW_TAG_subprogram;
    if (is_function) add_ranges(entry, dwarf_dieoffset(&entry), out);
    const bool descend = is_namespace(tag) || (nesting == Nesting::Inside &&
                                               (is_function || is_scope(tag) || is_type_with_functions(tag)));
    if (descend) collect_functions(entry, nesting, depth + 1, out);
  } while (dwarf_siblingof(&entry, &entry) == 0);
}

RangeMap DebugInfo::Impl::index_functions(const CompileUnit& unit, Nesting nesting) {
  std::vector<Range> ranges;
  Dwarf_Die entry{};
  if (dwarf_offdie(dwarf_.handle(), unit.entry, &entry) != nullptr) collect_functions(entry, nesting, 0, ranges);
  return RangeMap(std::move(ranges));
}

std::optional<Dwarf_Die> DebugInfo::Impl::function_at(CompileUnit& unit, uint64_t address) {
  if (!unit.is_indexed) unit.functions = index_functions(unit, Nesting::Outermost);
  unit.is_indexed = true;
  auto offset = unit.functions.find(address);
  if (!offset) {
    if (!unit.is_nested_indexed) unit.nested_functions = index_functions(unit, Nesting::Inside);
    unit.is_nested_indexed = true;
    offset = unit.nested_functions.find(address);
  }
  Dwarf_Die entry{};
  if (!offset || dwarf_offdie(dwarf_.handle(), *offset, &entry) == nullptr) return std::nullopt;
  return entry;
}

/// The function and the inlined calls in it that contain the address, outermost first.
std::vector<Dwarf_Die> DebugInfo::Impl::calls_at(Dwarf_Die function, uint64_t address) {
  std::vector<Dwarf_Die> calls{function};
  Dwarf_Die entry{};
  int more = dwarf_child(&function, &entry);
  for (int scopes = 0; more == 0 && scopes < kMaxScopes && budget_.step();) {
    const int tag = dwarf_tag(&entry);
    if (!is_scope(tag) || !covers(entry, address)) {
      more = dwarf_siblingof(&entry, &entry);
      continue;
    }
    ++scopes;
    if (tag == DW_TAG_inlined_subroutine) calls.push_back(entry);
    Dwarf_Die inner{};
    more = dwarf_child(&entry, &inner);
    entry = inner;
  }
  return calls;
}

std::string_view DebugInfo::Impl::string_attribute(Dwarf_Die entry, unsigned name) {
  Dwarf_Attribute attribute{};
  return dwarf_.checked(dwarf_formstring(dwarf_attr_integrate(&entry, name, &attribute)));
}

LineTable DebugInfo::Impl::read_lines(const CompileUnit& unit) {
  Dwarf_Die entry{};
  if (dwarf_offdie(dwarf_.handle(), unit.entry, &entry) == nullptr) return {};
  const auto offset = number_attribute(entry, DW_AT_stmt_list);
  if (!offset) return {};
  return LineTable(dwarf_.line_sections(), *offset, string_attribute(entry, DW_AT_comp_dir));
}

/// The tables of the units that were not used for longest go first.
void DebugInfo::Impl::bound_tables(const CompileUnit& in_use) {
  while (unit_table_bytes_ > kMaxUnitTableBytes) {
    CompileUnit* oldest = nullptr;
    for (CompileUnit& unit : units_) {
      const bool is_older = oldest == nullptr || unit.last_used < oldest->last_used;
      if (&unit != &in_use && is_older && unit.bytes() > 0) oldest = &unit;
    }
    if (oldest == nullptr) return;
    unit_table_bytes_ -= oldest->bytes();
    oldest->forget_tables();
  }
}

std::vector<SourceFrame> DebugInfo::Impl::frames_at(CompileUnit& unit, uint64_t address) {
  if (!unit.lines) unit.lines = std::make_unique<LineTable>(read_lines(unit));
  const LineTable& lines = *unit.lines;
  const LineTable::Place place = lines.find(address);
  SourceFrame location;
  location.line = place.line;
  if (place.line != 0) location.file = lines.file(place.file);
  const auto function = function_at(unit, address);
  if (!function) return location.line != 0 ? std::vector{location} : std::vector<SourceFrame>();

  std::vector<SourceFrame> frames;
  const std::vector<Dwarf_Die> calls = calls_at(*function, address);
  for (size_t i = calls.size(); i-- > 0;) {
    SourceFrame frame = std::move(location);
    frame.linkage_name = string_attribute(calls[i], DW_AT_linkage_name);
    if (frame.linkage_name.empty()) frame.linkage_name = string_attribute(calls[i], DW_AT_MIPS_linkage_name);
    frame.name = string_attribute(calls[i], DW_AT_name);
    frame.inlined = i != 0;
    location = SourceFrame();
    const uint64_t line = number_attribute(calls[i], DW_AT_call_line).value_or(0);
    location.line = line <= INT32_MAX ? static_cast<uint32_t>(line) : 0;
    location.file = lines.file(number_attribute(calls[i], DW_AT_call_file).value_or(UINT64_MAX));
    if (!frame.inlined || frames.size() < kMaxInlined) frames.push_back(std::move(frame));
  }
  return frames;
}

std::vector<SourceFrame> DebugInfo::Impl::find(uint64_t address) {
  if (budget_.is_spent() || dwarf_.handle() == nullptr) return {};
  budget_.start();
  index_units();
  std::vector<SourceFrame> frames;
  if (const auto index = unit_ranges_.find(address)) {
    CompileUnit& unit = units_[*index];
    unit.last_used = ++clock_;
    const size_t bytes_before = unit.bytes();
    parsed_units_ += bytes_before == 0 ? 1 : 0;
    frames = frames_at(unit, address);
    unit_table_bytes_ += unit.bytes() - bytes_before;
    bound_tables(unit);
  }
  budget_.stop();
  if (!frames.empty()) budget_.add(kTimeOfAName);
  if (parsed_units_ > kMaxParsedUnits) forget_parsed();
  return frames;
}

void DebugInfo::Impl::forget_parsed() {
  dwarf_.forget_parsed();
  parsed_units_ = 0;
}

void DebugInfo::Impl::close() {
  forget_parsed();
  dwarf_.close();
  unit_table_bytes_ = 0;
  for (CompileUnit& unit : units_) unit.forget_tables();
}

DebugInfo::DebugInfo(const MappedFile& file, CodeSegments code, DebugInfoLimits limits, DebugFileSource& source)
    : impl_(std::make_unique<Impl>(file, std::move(code), limits, source)) {}
DebugInfo::~DebugInfo() = default;

std::vector<SourceFrame> DebugInfo::find(uint64_t address) {
  return impl_->find(address);
}
void DebugInfo::close() {
  impl_->close();
}
bool DebugInfo::is_open() const {
  return impl_->is_open();
}
uint64_t DebugInfo::bytes() const {
  return impl_->bytes();
}
std::string DebugInfo::problem() const {
  return impl_->problem();
}

}  // namespace alloctrail
