// SPDX-License-Identifier: Apache-2.0
#include "user/output/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace alloctrail {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Files may grow to `bytes` while it lives, then writes fail with EFBIG: a full disk without one.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    previous_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &previous_);
    const rlimit limit{bytes, previous_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &previous_);
    std::signal(SIGXFSZ, previous_handler_);
  }

 private:
  rlimit previous_{};
  void (*previous_handler_)(int) = SIG_DFL;
};

class OutputFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "alloctrail-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    file_ = directory_ / "report.txt";
  }
  void TearDown() override { fs::remove_all(directory_); }

  [[nodiscard]] size_t files_in_directory() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(directory_), {}));
  }

  fs::path directory_;
  fs::path file_;
};

std::unique_ptr<Sink> open(const fs::path& path, Delivery delivery) {
  Result<std::unique_ptr<Sink>> sink = open_sink(path.string(), delivery);
  if (!sink) {
    ADD_FAILURE() << sink.error().message;
    return nullptr;
  }
  return std::move(*sink);
}

TEST_F(OutputFile, AppearsWholeAtTheEnd) {
  auto sink = open(file_, Delivery::Whole);
  ASSERT_TRUE(sink->write("one\n"));
  ASSERT_TRUE(sink->write("two\n"));
  EXPECT_FALSE(fs::exists(file_));
  ASSERT_TRUE(sink->finish());
  EXPECT_EQ(read_file(file_), "one\ntwo\n");
  EXPECT_EQ(files_in_directory(), 1u);
  EXPECT_EQ(fs::status(file_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(OutputFile, WithoutAnEndNothingIsLeftAndTheOldFileStays) {
  std::ofstream(file_) << "old";
  {
    auto sink = open(file_, Delivery::Whole);
    ASSERT_TRUE(sink->write("new"));
  }
  EXPECT_EQ(read_file(file_), "old");
  EXPECT_EQ(files_in_directory(), 1u);
}

TEST_F(OutputFile, AStreamIsThereLineByLine) {
  std::ofstream(file_) << "old";
  auto sink = open(file_, Delivery::Stream);
  EXPECT_EQ(read_file(file_), "");
  ASSERT_TRUE(sink->write("{}\n"));
  EXPECT_EQ(read_file(file_), "{}\n");
  ASSERT_TRUE(sink->write("[]\n"));
  sink.reset();
  EXPECT_EQ(read_file(file_), "{}\n[]\n");
  EXPECT_EQ(files_in_directory(), 1u);
}

TEST_F(OutputFile, OnAFullDiskTheOldFileStaysAndTheErrorSaysSo) {
  std::ofstream(file_) << "old";
  auto sink = open(file_, Delivery::Whole);
  {
    const FileSizeLimit limit(6);
    ASSERT_TRUE(sink->write("1234"));
    const Status written = sink->write("5678");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().kind, ErrorKind::Failed);
    EXPECT_EQ(written.error().os_error, EFBIG);
    EXPECT_EQ(written.error().message, "cannot write '" + file_.string() + "': File too large");
    EXPECT_EQ(written.error().hint,
              "free some space; the report was not written, '" + file_.string() + "' is unchanged");
  }
  sink.reset();
  EXPECT_EQ(read_file(file_), "old");
  EXPECT_EQ(files_in_directory(), 1u);
}

TEST_F(OutputFile, OnAFullDiskAStreamKeepsOnlyWholeLines) {
  auto sink = open(file_, Delivery::Stream);
  {
    const FileSizeLimit limit(6);
    ASSERT_TRUE(sink->write("123\n"));
    const Status written = sink->write("567\n");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().hint, "free some space; '" + file_.string() + "' holds what was written before");
  }
  EXPECT_EQ(read_file(file_), "123\n");
  ASSERT_TRUE(sink->write("8\n"));  // space again
  ASSERT_TRUE(sink->finish());
  EXPECT_EQ(read_file(file_), "123\n8\n");
}

TEST_F(OutputFile, AFullDeviceIsReportedByTheWrite) {
  auto sink = open("/dev/full", Delivery::Whole);
  const Status written = sink->write("text");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().os_error, ENOSPC);
  EXPECT_EQ(written.error().message, "cannot write to '/dev/full': No space left on device");
  EXPECT_TRUE(open("/dev/null", Delivery::Stream)->write("text"));
}

TEST_F(OutputFile, APlantedLinkIsNeitherFollowedNorReplaced) {
  const fs::path victim = directory_ / "victim";
  std::ofstream(victim) << "precious";
  fs::create_symlink(victim, file_);
  for (const Delivery delivery : {Delivery::Whole, Delivery::Stream}) {
    const auto sink = open_sink(file_.string(), delivery);
    ASSERT_FALSE(sink);
    EXPECT_EQ(sink.error().message, "'" + file_.string() + "' is a symbolic link: not written to");
  }
  EXPECT_EQ(read_file(victim), "precious");
  EXPECT_TRUE(fs::is_symlink(file_));
}

TEST_F(OutputFile, ALinkPlantedAfterTheStartIsReplacedNotFollowed) {
  const fs::path victim = directory_ / "victim";
  std::ofstream(victim) << "precious";
  auto sink = open(file_, Delivery::Whole);
  fs::create_symlink(victim, file_);
  ASSERT_TRUE(sink->write("report"));
  ASSERT_TRUE(sink->finish());
  EXPECT_EQ(read_file(victim), "precious");
  EXPECT_FALSE(fs::is_symlink(file_));
  EXPECT_EQ(read_file(file_), "report");
}

TEST_F(OutputFile, AnotherNameOfTheOldFileKeepsTheOldText) {
  const fs::path other = directory_ / "other";
  std::ofstream(other) << "old";
  fs::create_hard_link(other, file_);
  auto sink = open(file_, Delivery::Stream);
  ASSERT_TRUE(sink->write("new"));
  EXPECT_EQ(read_file(other), "old");
  EXPECT_EQ(read_file(file_), "new");
}

TEST_F(OutputFile, PlacesThatCannotHoldAReportAreRefusedAtOnce) {
  const auto message = [](const fs::path& path) {
    const auto sink = open_sink(path.string(), Delivery::Whole);
    return sink ? "opened" : sink.error().message;
  };
  const fs::path pipe = directory_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(message(pipe), "'" + pipe.string() + "' is a named pipe: not written to");
  EXPECT_EQ(message(directory_), "'" + directory_.string() + "' is a directory: not written to");
  EXPECT_EQ(message(directory_ / ""), "'" + directory_.string() + "/' is a directory: not written to");
  const fs::path nowhere = directory_ / "absent" / "report";
  EXPECT_EQ(message(nowhere), "cannot open the directory of '" + nowhere.string() + "': No such file or directory");
}

// Replaces a standard descriptor while it lives.
class Redirected {
 public:
  Redirected(int fd, int target) : fd_(fd), saved_(::dup(fd)) {
    if (target < 0) ::close(fd);
    if (target >= 0) ::dup2(target, fd);
  }
  ~Redirected() {
    ::dup2(saved_, fd_);
    ::close(saved_);
  }

 private:
  int fd_;
  int saved_;
};

TEST(StandardOutput, AReaderThatWentAwayIsEpipe) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const auto previous = std::signal(SIGPIPE, SIG_IGN);
  int os_error = 0;
  {
    const Redirected redirected(STDOUT_FILENO, ends[1]);
    const auto sink = open_sink(std::nullopt, Delivery::Whole);
    if (sink) {
      const Status written = (*sink)->write("text");
      os_error = written ? 0 : written.error().os_error;
    }
  }
  ::close(ends[1]);
  std::signal(SIGPIPE, previous);
  EXPECT_EQ(os_error, EPIPE);
}

TEST(StandardOutput, AllOfALongTextArrivesThroughANonBlockingPipe) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK), 0);
  const std::string text(300'000, 'x');
  const pid_t reader = ::fork();
  if (reader == 0) {
    ::close(ends[1]);
    ::fcntl(ends[0], F_SETFL, 0);
    char buffer[4096];
    size_t total = 0;
    for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof(buffer))) > 0;) total += static_cast<size_t>(got);
    ::_exit(total == 300'000 ? 0 : 1);
  }
  ::close(ends[0]);
  bool written = false;
  {
    const Redirected redirected(STDOUT_FILENO, ends[1]);
    const auto sink = open_sink("-", Delivery::Stream);
    written = sink && (*sink)->write(text) && (*sink)->finish();
  }
  ::close(ends[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(reader, &status, 0), reader);
  EXPECT_TRUE(written);
  EXPECT_EQ(status, 0);
}

TEST(StandardOutput, ClosedOutputIsAnErrorEvenAfterItsDescriptorIsOccupied) {
  std::string closed;
  std::string occupied;
  {
    const Redirected redirected(STDOUT_FILENO, -1);
    const auto before = open_sink(std::nullopt, Delivery::Whole);
    closed = before ? "opened" : before.error().message;
    occupy_standard_descriptors();
    const auto after = open_sink(std::nullopt, Delivery::Whole);
    occupied = after ? "opened" : after.error().message;
  }
  EXPECT_EQ(closed, "standard output is closed");
  EXPECT_EQ(occupied, "standard output is closed");
}

}  // namespace
}  // namespace alloctrail
