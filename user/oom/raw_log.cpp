// SPDX-License-Identifier: Apache-2.0
#include "user/oom/raw_log.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr size_t kMostLogBytes = 1u << 30;

Error failure(const std::string& path, const char* what) {
  return Error{.message = fmt::format("{} '{}': {}", what, path, std::strerror(errno)), .hint = "", .os_error = errno};
}

}  // namespace

Result<RawLog> RawLog::create(const std::string& path, uint64_t reserve_bytes) {
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return failure(path, "cannot create");
  // Without the room it works as long as the disk has some.
  (void)::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(reserve_bytes));
  return RawLog(path, std::move(file));
}

Status RawLog::append(const OomFeed::Record& record) {
  auto size = static_cast<uint32_t>(record.size());
  std::array<iovec, 2> parts = {iovec{.iov_base = &size, .iov_len = sizeof(size)},
                                iovec{.iov_base = const_cast<std::byte*>(record.data()), .iov_len = record.size()}};
  const ssize_t written = ::pwritev(file_.get(), parts.data(), parts.size(), static_cast<off_t>(length_));
  const uint64_t whole = sizeof(size) + record.size();
  if (written < 0) return failure(path_, "cannot write");
  if (static_cast<uint64_t>(written) == whole) {
    length_ += whole;
    return ok();
  }
  (void)::ftruncate(file_.get(), static_cast<off_t>(length_));  // no half a record
  errno = ENOSPC;
  return failure(path_, "cannot write");
}

void RawLog::clear() {
  length_ = 0;
  (void)::ftruncate(file_.get(), 0);
}

void RawLog::remove() {
  (void)::unlink(path_.c_str());
}

std::vector<std::string> left_raw_logs(const std::string& directory) {
  std::vector<std::string> found;
  std::error_code failed;
  for (auto entry = std::filesystem::directory_iterator(directory, failed);
       !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    std::error_code unreadable;
    if (name.starts_with(".oom-") && name.ends_with(".raw") && entry->is_regular_file(unreadable) &&
        entry->file_size(unreadable) > 0 && !unreadable)
      found.push_back(entry->path().string());
  }
  std::ranges::sort(found);
  return found;
}

Result<std::vector<OomFeed::Record>> read_raw_log(const std::string& path) {
  const auto text = read_small_file(path, kMostLogBytes);
  if (!text) return Error(text.error()).with("cannot read");
  std::vector<OomFeed::Record> records;
  for (size_t at = 0; at + sizeof(uint32_t) <= text->size();) {
    uint32_t size = 0;
    std::memcpy(&size, text->data() + at, sizeof(size));
    at += sizeof(size);
    if (size == 0 || size > text->size() - at) break;
    const auto* bytes = reinterpret_cast<const std::byte*>(text->data() + at);
    records.emplace_back(bytes, bytes + size);
    at += size;
  }
  return records;
}

}  // namespace alloctrail
