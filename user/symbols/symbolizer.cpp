// SPDX-License-Identifier: Apache-2.0
// Symbolizer: which mapping, which file, and how many files stay open.
#include "user/symbols/symbolizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "user/symbols/file_names.h"
#include "user/symbols/perf_map.h"
#include "user/symbols/vdso.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxFiles = 256;  // each holds a descriptor

const Mapping* mapping_of(const AddressSpace& space, uint64_t address) {
  const auto after = std::upper_bound(space.mappings.begin(), space.mappings.end(), address,
                                      [](uint64_t wanted, const Mapping& mapping) { return wanted < mapping.start; });
  if (after == space.mappings.begin()) return nullptr;
  const Mapping& mapping = *std::prev(after);
  return address < mapping.end ? &mapping : nullptr;
}

uint64_t offset_in(const Mapping& mapping, Addr address) {
  return mapping.file_offset + (raw(address) - mapping.start);
}

}  // namespace

class Symbolizer::Impl {
 public:
  Impl(std::optional<NamesCache> cache, SymbolWorkerLimits limits) : worker_(limits), cache_(std::move(cache)) {}
  ~Impl() {
    for (const auto& [key, file] : files_) store(file);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] pid_t worker() const { return worker_.pid(); }

  std::vector<std::vector<Frame>> resolve(const AddressSpace& space, std::span<const Addr> addresses) {
    ask_worker(space, addresses);
    std::vector<std::vector<Frame>> result;
    for (const Addr address : addresses) result.push_back(frames_at(space, address));
    return result;
  }

  void hold_files(const AddressSpace& space) {
    for (const Mapping& mapping : space.mappings)
      if (mapping.executable && mapping.file.inode != 0) (void)file_of(space.pid, mapping);
  }

  [[nodiscard]] std::vector<std::string> problems(const AddressSpace& space) const {
    std::map<FileKey, std::string> sentences;
    for (const Mapping& mapping : space.mappings) {
      const auto file = files_.find(mapping.file);
      if (file == files_.end() || file->second.problem().empty()) continue;
      sentences[mapping.file] = fmt::format("{}: names are missing: {}", mapping.path, file->second.problem());
    }
    std::vector<std::string> result;
    for (auto& [key, sentence] : sentences) result.push_back(std::move(sentence));
    return result;
  }

 private:
  /// File by file, so that what it is asked at a time is as much as possible.
  void ask_worker(const AddressSpace& space, std::span<const Addr> addresses) {
    std::map<FileKey, std::vector<uint64_t>> wanted;
    for (const Addr address : addresses) {
      const Mapping* mapping = mapping_of(space, raw(address));
      if (mapping == nullptr || mapping->file.inode == 0) continue;
      if (file_of(space.pid, *mapping) != nullptr) wanted[mapping->file].push_back(offset_in(*mapping, address));
    }
    for (const auto& [key, offsets] : wanted) {
      const auto file = files_.find(key);
      if (file != files_.end()) file->second.resolve(offsets, cache_ ? &*cache_ : nullptr, worker_);
    }
  }

  std::vector<Frame> frames_at(const AddressSpace& space, Addr address) {
    Frame place;
    place.address = address;
    const Mapping* mapping = mapping_of(space, raw(address));
    if (mapping == nullptr) return {place};
    place.module = mapping->path;
    place.module_offset = mapping->path.empty() ? 0 : offset_in(*mapping, address);
    if (mapping->path == "[vdso]") place.function = vdso_.find(*mapping, raw(address));
    const auto file = files_.find(mapping->file);
    if (mapping->file.inode == 0 || file == files_.end() || !file->second.may_be_elf()) {
      if (place.function.empty()) place.function = perf_maps_.find(space.pid, raw(address));
      return {place};
    }
    std::vector<Frame> frames = file->second.frames_at(offset_in(*mapping, address));
    for (Frame& frame : frames) {
      frame.address = place.address;
      frame.module = place.module;
      frame.module_offset = place.module_offset;
    }
    return frames;
  }

  /// Null if it cannot be opened.
  FileNames* file_of(Tgid pid, const Mapping& mapping) {
    auto known = files_.find(mapping.file);
    if (known != files_.end() && known->second.has_changed()) known = (files_.erase(known), files_.end());
    if (known == files_.end()) {
      auto fd = open_mapped_file(pid, mapping);
      if (!fd) return nullptr;
      if (files_.size() >= kMaxFiles) forget(oldest());
      known = files_.try_emplace(mapping.file, *std::move(fd), mapping.path, ++numbers_).first;
    }
    known->second.last_used = ++clock_;
    return &known->second;
  }

  using Files = std::map<FileKey, FileNames>;

  Files::iterator oldest() {
    return std::min_element(files_.begin(), files_.end(),
                            [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; });
  }

  void forget(Files::iterator file) {
    store(file->second);
    files_.erase(file);
  }

  void store(const FileNames& file) const {
    if (cache_) file.store(*cache_);
  }

  SymbolWorker worker_;
  std::optional<NamesCache> cache_;
  Files files_;
  Vdso vdso_;
  PerfMaps perf_maps_;
  uint64_t numbers_ = 0;
  uint64_t clock_ = 0;
};

Symbolizer::Symbolizer(std::optional<NamesCache> cache, SymbolWorkerLimits limits)
    : impl_(std::make_unique<Impl>(std::move(cache), limits)) {}
Symbolizer::~Symbolizer() = default;

std::vector<std::vector<Frame>> Symbolizer::resolve(const AddressSpace& space, std::span<const Addr> addresses) {
  return impl_->resolve(space, addresses);
}

std::vector<Frame> Symbolizer::resolve(const AddressSpace& space, Addr address) {
  return std::move(impl_->resolve(space, std::span(&address, 1)).front());
}

void Symbolizer::hold_files(const AddressSpace& space) {
  impl_->hold_files(space);
}

pid_t Symbolizer::worker() const {
  return impl_->worker();
}

std::vector<std::string> Symbolizer::problems(const AddressSpace& space) const {
  return impl_->problems(space);
}

}  // namespace alloctrail
