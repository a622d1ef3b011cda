// SPDX-License-Identifier: Apache-2.0
#include "user/symbols/file_names.h"

#include <algorithm>
#include <utility>

namespace alloctrail {
namespace {

constexpr size_t kMaxResolved = 100'000;

}  // namespace

FileNames::FileNames(UniqueFd fd, std::string path, uint64_t number)
    : fd_(std::move(fd)), places_(std::move(path)), number_(number), opened_(identity_of(fd_.get())) {}

/// Another link to it, or one less, changes its inode but not what is in it.
bool FileNames::has_changed() const {
  const auto now = identity_of(fd_.get());
  return now && opened_ && (now->size_bytes != opened_->size_bytes || now->modified_ns != opened_->modified_ns);
}

void FileNames::take(std::span<const uint64_t> offsets, SymbolAnswer answer) {
  is_elf_ = answer.is_elf;
  problem_ = std::move(answer.problem);
  for (size_t i = 0; i < answer.frames.size(); ++i) known_.frames[offsets[i]] = std::move(answer.frames[i]);
  has_news_ = true;
}

std::vector<uint64_t> FileNames::unknown(std::span<const uint64_t> offsets) const {
  std::vector<uint64_t> result;
  std::copy_if(offsets.begin(), offsets.end(), std::back_inserter(result),
               [this](uint64_t offset) { return !known_.frames.contains(offset); });
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

void FileNames::resolve(std::span<const uint64_t> offsets, const NamesCache* cache, SymbolWorker& worker) {
  if (!looked_in_cache_ && cache != nullptr && opened_) {
    if (auto names = cache->read(*opened_)) known_ = *std::move(names);
    looked_in_cache_ = true;
  }
  if (known_.frames.size() >= kMaxResolved) known_.frames.clear();
  const std::vector<uint64_t> wanted = unknown(offsets);
  std::span<const uint64_t> rest(wanted);
  while (!rest.empty() && !is_unreadable_) {
    const auto request = rest.first(std::min(rest.size(), SymbolWorker::kMaxOffsets));
    auto answer = worker.resolve(number_, fd_.get(), places_, request);
    if (!answer) {
      is_unreadable_ = true;
      problem_ = answer.error().message;
      return;
    }
    rest = rest.subspan(answer->frames.size());
    take(request, *std::move(answer));
  }
  if (!places_.looks().empty()) known_.looks = places_.looks();
}

void FileNames::store(const NamesCache& cache) const {
  const auto now = identity_of(fd_.get());
  if (has_news_ && is_elf_ && problem_.empty() && opened_ && now == opened_) cache.write(*opened_, known_);
}

const std::vector<Frame>& FileNames::frames_at(uint64_t file_offset) const {
  static const std::vector<Frame> kUnknown{Frame()};
  const auto known = known_.frames.find(file_offset);
  return known != known_.frames.end() ? known->second : kUnknown;
}

}  // namespace alloctrail
