// SPDX-License-Identifier: Apache-2.0
// Symbolizer: which mapping, which file, and how many files and how much debug information stay open.
#include "user/symbols/symbolizer.h"

#include <algorithm>
#include <exception>
#include <map>

#include "user/symbols/file_symbols.h"
#include "user/symbols/perf_map.h"
#include "user/symbols/vdso.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxFiles = 128;  // each holds up to two descriptors
constexpr size_t kMaxOpenDebugInfo = 32;
constexpr uint64_t kWantedDebugBytes = 512ULL << 20;
constexpr uint64_t kMaxDebugBytes = 4ULL << 30;
// Files in use side by side are not closed and read again in turn for the sake of kWantedDebugBytes.
constexpr uint64_t kLookupsInUse = 1000;

const Mapping* mapping_of(const AddressSpace& space, uint64_t address) {
  const auto after = std::upper_bound(space.mappings.begin(), space.mappings.end(), address,
                                      [](uint64_t wanted, const Mapping& mapping) { return wanted < mapping.start; });
  if (after == space.mappings.begin()) return nullptr;
  const Mapping& mapping = *std::prev(after);
  return address < mapping.end ? &mapping : nullptr;
}

}  // namespace

class Symbolizer::Impl {
 public:
  std::vector<Frame> resolve(const AddressSpace& space, Addr address) {
    Frame place;
    place.address = address;
    try {
      const Mapping* mapping = mapping_of(space, raw(address));
      if (mapping == nullptr) return {place};
      place.module = mapping->path;
      place.module_offset = mapping->path.empty() ? 0 : mapping->file_offset + (raw(address) - mapping->start);
      return resolve_in(space.pid, *mapping, place);
    } catch (const std::exception&) {
      // Only memory can run out here, on a file that claims too much: the frame stays without a name.
      return {place};
    }
  }

 private:
  std::vector<Frame> resolve_in(Tgid pid, const Mapping& mapping, Frame place) {
    if (mapping.path == "[vdso]") place.function = vdso_.find(mapping, raw(place.address));
    FileSymbols* file = mapping.file.inode != 0 ? file_of(pid, mapping) : nullptr;
    if (file == nullptr || !file->is_elf()) {
      if (place.function.empty()) place.function = perf_maps_.find(pid, raw(place.address));
      return {place};
    }
    std::vector<Frame> frames = file->frames_at(mapping.file_offset + (raw(place.address) - mapping.start));
    for (Frame& frame : frames) {
      frame.address = place.address;
      frame.module = place.module;
      frame.module_offset = place.module_offset;
    }
    bound_debug_info();
    return frames;
  }

  FileSymbols* file_of(Tgid pid, const Mapping& mapping) {
    auto known = files_.find(mapping.file);
    if (known != files_.end() && known->second.has_changed()) known = (files_.erase(known), files_.end());
    if (known == files_.end()) {
      auto fd = open_mapped_file(pid, mapping);
      if (!fd) return nullptr;
      if (files_.size() >= kMaxFiles) files_.erase(oldest([](const FileSymbols&) { return true; }));
      known = files_.try_emplace(mapping.file, *std::move(fd), mapping.path).first;
    }
    known->second.last_used = ++clock_;
    return &known->second;
  }

  using Files = std::map<FileKey, FileSymbols>;

  template <class Wanted>
  Files::iterator oldest(Wanted wanted) {
    auto found = files_.end();
    for (auto at = files_.begin(); at != files_.end(); ++at) {
      if (!wanted(at->second)) continue;
      if (found == files_.end() || at->second.last_used < found->second.last_used) found = at;
    }
    return found;
  }

  void bound_debug_info() {
    size_t open = 0;
    uint64_t bytes = 0;
    for (const auto& [key, file] : files_) {
      open += file.has_open_debug_info() ? 1 : 0;
      bytes += file.debug_info_bytes();
    }
    while (open > 1) {
      FileSymbols& file = oldest([](const FileSymbols& each) { return each.has_open_debug_info(); })->second;
      const bool is_in_use = file.last_used + kLookupsInUse > clock_;
      if (open <= kMaxOpenDebugInfo && bytes <= (is_in_use ? kMaxDebugBytes : kWantedDebugBytes)) return;
      bytes -= file.debug_info_bytes();
      file.close_debug_info();
      --open;
    }
  }

  Files files_;
  Vdso vdso_;
  PerfMaps perf_maps_;
  uint64_t clock_ = 0;
};

Symbolizer::Symbolizer() : impl_(std::make_unique<Impl>()) {}
Symbolizer::~Symbolizer() = default;

std::vector<Frame> Symbolizer::resolve(const AddressSpace& space, Addr address) {
  return impl_->resolve(space, address);
}

}  // namespace alloctrail
