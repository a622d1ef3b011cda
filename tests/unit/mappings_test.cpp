// SPDX-License-Identifier: Apache-2.0
#include "user/target/mappings.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace alloctrail {
namespace {

Mapping only(std::string_view text) {
  const auto mappings = parse_mappings(text);
  EXPECT_EQ(mappings.size(), 1u);
  return mappings.empty() ? Mapping{} : mappings[0];
}

Tgid self() {
  return Tgid{static_cast<uint32_t>(getpid())};
}

TEST(Mappings, AllFieldsOfALineAreRead) {
  const Mapping mapping =
      only("7f0000001000-7f0000003000 r-xp 0001a000 08:21 1234567                    /usr/lib/libx.so\n");
  EXPECT_EQ(mapping.start, 0x7f0000001000u);
  EXPECT_EQ(mapping.end, 0x7f0000003000u);
  EXPECT_EQ(mapping.file_offset, 0x1a000u);
  EXPECT_EQ(mapping.file, (FileKey{makedev(8, 0x21), 1234567}));
  EXPECT_EQ(mapping.path, "/usr/lib/libx.so");
  EXPECT_TRUE(mapping.executable);
  EXPECT_FALSE(mapping.writable || mapping.shared || mapping.deleted);
}

TEST(Mappings, WritableAndSharedAreTold) {
  EXPECT_TRUE(only("1000-2000 rw-s 00000000 00:01 5 /dev/shm/a").writable);
  EXPECT_TRUE(only("1000-2000 rw-s 00000000 00:01 5 /dev/shm/a").shared);
  EXPECT_FALSE(only("1000-2000 rw-p 00000000 00:00 0").shared);
}

TEST(Mappings, PathWithSpacesAndDeletedSuffixIsKept) {
  const Mapping mapping = only("1000-2000 r-xp 00000000 fd:00 77  /opt/my app/lib (1).so (deleted)\n");
  EXPECT_EQ(mapping.path, "/opt/my app/lib (1).so");
  EXPECT_TRUE(mapping.deleted);
}

TEST(Mappings, LineFeedInAPathIsUndone) {
  EXPECT_EQ(only("1000-2000 r-xp 00000000 fd:00 77  /tmp/a\\012b\\011c\n").path, "/tmp/a\nb\\011c");
}

TEST(Mappings, AnonymousAndSpecialMappingsHaveNoFile) {
  const auto mappings = parse_mappings("1000-2000 rw-p 00000000 00:00 0 \n2000-3000 rw-p 00000000 00:00 0    [heap]\n");
  ASSERT_EQ(mappings.size(), 2u);
  EXPECT_EQ(mappings[0].path, "");
  EXPECT_EQ(mappings[1].path, "[heap]");
  EXPECT_EQ(mappings[1].file, FileKey{});
}

TEST(Mappings, SenselessLinesAreLeftOut) {
  const auto mappings = parse_mappings(
      "garbage\n\n2000-1000 r-xp 0 0:0 0\n1000-2000\n1000-2000 r\n1000-2000 r-xp zz 0:0 0\n1000-2000 r-xp 0 00 0\n"
      "ffffffffffffffffff-1 r-xp 0 0:0 0\n1000-2000 r-xp 00000000 00:00 0\nlast");
  ASSERT_EQ(mappings.size(), 1u);
  EXPECT_EQ(mappings[0].start, 0x1000u);
}

TEST(Mappings, EveryPrefixOfALineIsParsedOrLeftOut) {
  const std::string line = "7f00-8f00 rwxs 0001a000 08:21 1234567   /usr/lib/libx.so (deleted)\n";
  for (size_t size = 0; size <= line.size(); ++size) EXPECT_LE(parse_mappings(line.substr(0, size)).size(), 1u);
}

TEST(Mappings, OwnCodeIsFoundInAscendingOrder) {
  const auto mappings = read_mappings(self());
  ASSERT_TRUE(mappings);
  EXPECT_TRUE(std::ranges::is_sorted(*mappings, {}, &Mapping::start));
  const auto here = reinterpret_cast<uint64_t>(&only);
  const auto found = std::ranges::find_if(*mappings, [&](const Mapping& m) { return m.start <= here && here < m.end; });
  ASSERT_NE(found, mappings->end());
  EXPECT_TRUE(found->executable);
}

TEST(Mappings, ProcessThatDoesNotExistIsAnError) {
  const auto mappings = read_mappings(Tgid{0x7ffffff0});
  ASSERT_FALSE(mappings);
  EXPECT_EQ(mappings.error().message, "there is no process 2147483632");
}

/// A file mapped into this process, removed again with it.
class MappedFile {
 public:
  MappedFile() {
    fd_.reset(mkstemp(path_));
    if (write(fd_.get(), "content", 7) != 7) std::abort();
    address_ = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd_.get(), 0);
  }
  ~MappedFile() {
    munmap(address_, 4096);
    unlink(path_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] const char* path() const { return path_; }
  [[nodiscard]] Mapping mapping() const {
    const auto mappings = read_mappings(self());
    for (const Mapping& mapping : *mappings)
      if (mapping.start == reinterpret_cast<uint64_t>(address_)) return mapping;
    return {};
  }

 private:
  char path_[32] = "/tmp/mappings test XXXXXX";
  UniqueFd fd_;
  void* address_ = nullptr;
};

std::string content_of(const Result<UniqueFd>& fd) {
  char text[16] = {};
  const ssize_t size = fd ? pread(fd->get(), text, sizeof(text), 0) : 0;
  return {text, static_cast<size_t>(std::max<ssize_t>(size, 0))};
}

TEST(Mappings, MappedFileIsOpenedForReading) {
  const MappedFile file;
  EXPECT_EQ(file.mapping().path, file.path());
  const auto fd = open_mapped_file(self(), file.mapping());
  ASSERT_TRUE(fd) << fd.error().message;
  EXPECT_EQ(content_of(fd), "content");
  EXPECT_EQ(fcntl(fd->get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_NE(fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Mappings, FileReplacedByAFifoIsNotOpenedInItsPlace) {
  const MappedFile file;
  unlink(file.path());
  ASSERT_EQ(mkfifo(file.path(), 0600), 0);
  const Mapping mapping = file.mapping();
  EXPECT_TRUE(mapping.deleted);
  const auto fd = open_mapped_file(self(), mapping);  // must not wait for a writer
  // With the right to use map_files the deleted file itself is reached.
  if (fd)
    EXPECT_EQ(content_of(fd), "content");
  else
    EXPECT_NE(fd.error().message, "");
}

TEST(Mappings, AnotherFileUnderTheSameNameIsNotTakenForTheMappedOne) {
  const MappedFile file;
  Mapping stale = file.mapping();
  stale.start += 0x10000000;  // no such range: only the path is left to try
  stale.end += 0x10000000;
  unlink(file.path());
  const UniqueFd other(open(file.path(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  ASSERT_TRUE(other);
  const auto fd = open_mapped_file(self(), stale);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().message, std::string(file.path()) + ": the file there is not the one that is mapped");
}

TEST(Mappings, AnonymousMemoryHasNoFileToOpen) {
  Mapping mapping;
  mapping.path = "[heap]";
  EXPECT_FALSE(open_mapped_file(self(), mapping));
}

}  // namespace
}  // namespace alloctrail
