// SPDX-License-Identifier: Apache-2.0
#include "user/symbols/mapped_file.h"

#include <elf.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace alloctrail {
namespace {

constexpr uint64_t kPageBytes = 4096;

}  // namespace

/// libelf unpacks a section by rewriting its header in place. So those pages become copies of our own.
void MappedFile::make_section_headers_writable(int fd) {
  Elf64_Ehdr header{};
  if (bytes_.size() < sizeof header) return;
  std::memcpy(&header, bytes_.data(), sizeof header);
  if (header.e_shoff >= bytes_.size()) return;
  const uint64_t start = header.e_shoff & ~(kPageBytes - 1);
  const uint64_t table_bytes = uint64_t{header.e_shnum} * sizeof(Elf64_Shdr);
  const uint64_t end = std::min<uint64_t>((header.e_shoff + table_bytes + kPageBytes - 1) & ~(kPageBytes - 1),
                                          bytes_.size());
  void* made = ::mmap(bytes_.data() + start, end - start, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
                      static_cast<off_t>(start));
  if (made != MAP_FAILED) headers_ = bytes_.subspan(start, end - start);
}

std::optional<MappedFile> MappedFile::open(const UniqueFd& fd) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || info.st_size <= 0) return std::nullopt;
  const auto size = static_cast<size_t>(info.st_size);
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return std::nullopt;
  MappedFile file(std::span(static_cast<char*>(memory), size));
  file.make_section_headers_writable(fd.get());
  return file;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

void MappedFile::restore() const {
  if (!headers_.empty()) ::madvise(headers_.data(), headers_.size(), MADV_DONTNEED);
}

void MappedFile::drop_pages() const {
  const char* after = headers_.empty() ? bytes_.data() : headers_.data() + headers_.size();
  const auto drop = [](const char* from, const char* to) {
    if (from < to) ::madvise(const_cast<char*>(from), static_cast<size_t>(to - from), MADV_DONTNEED);
  };
  if (!headers_.empty()) drop(bytes_.data(), headers_.data());
  drop(after, bytes_.data() + bytes_.size());
}

}  // namespace alloctrail
