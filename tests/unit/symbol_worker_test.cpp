// SPDX-License-Identifier: Apache-2.0
// The process that reads ELF files: what it may do, and what becomes of names when it ends.
#include "user/symbols/symbol_worker.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <map>
#include <random>
#include <string>

#include "tests/support/temp_dir.h"
#include "tests/unit/symbol_fixtures.h"
#include "user/symbols/debug_file_places.h"
#include "user/symbols/packed_frames.h"

namespace alloctrail {
namespace {

using test::code_offsets;
using test::fixture_path;
using test::memory_file;
using test::read_file;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kIsSanitized = true;  // the sanitizers' own needs go beyond some of the limits
#else
constexpr bool kIsSanitized = false;
#endif

/// A fixture library and the worker that is asked for its names.
class SymbolWorkerTest : public testing::Test {
 protected:
  Result<SymbolAnswer> resolve(SymbolWorker& worker) {
    return worker.resolve(1, file_.get(), places_, std::span(offsets_));
  }
  static size_t named(const SymbolAnswer& answer) {
    size_t count = 0;
    for (const std::vector<Frame>& frames : answer.frames) count += frames.front().function.empty() ? 0 : 1;
    return count;
  }

  std::vector<char> image_ = read_file(fixture_path("symbols_dwarf5"));
  UniqueFd file_ = memory_file(image_);
  std::vector<uint64_t> offsets_ = code_offsets(image_, 64);
  DebugFilePlaces places_{""};
};

std::vector<char> library_with_symbols(uint64_t count) {
  std::vector<Elf64_Sym> symbols{{}};
  for (uint64_t i = 0; i < count; ++i)
    symbols.push_back({test::kSymbolName, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, 16 * i, 16});
  return test::elf_image(16 * count, {}, symbols);
}

std::map<std::string, std::string> status_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::map<std::string, std::string> result;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(":\t");
    if (colon != std::string::npos) result[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return result;
}

TEST_F(SymbolWorkerTest, HasNoRights) {
  SymbolWorker worker;
  const auto confinement = worker.confinement();
  ASSERT_TRUE(confinement) << confinement.error().message;
  for (const ConfinementStep& step : confinement_steps())
    EXPECT_TRUE((*confinement & step.bit) != 0 || (step.name == "user" && ::geteuid() != 0) ||
                (step.name == "system calls" && kIsSanitized))
        << step.name;

  auto status = status_of(worker.pid());
  const std::string nobody = "65534\t65534\t65534\t65534";
  if (::geteuid() == 0) {
    EXPECT_EQ(status["Uid"], nobody);
    EXPECT_EQ(status["Gid"], nobody);
    EXPECT_EQ(status["Groups"].find_first_not_of(' '), std::string::npos);
  }
  EXPECT_EQ(status["CapPrm"] + status["CapEff"] + status["CapInh"] + status["CapAmb"], std::string(64, '0'));
  EXPECT_EQ(status["NoNewPrivs"], "1");
  EXPECT_TRUE(status["Seccomp"] == "2" || kIsSanitized);
}

TEST_F(SymbolWorkerTest, HoldsNoDescriptorOfOurs) {
  const UniqueFd inherited(::open("/etc/passwd", O_RDONLY));
  ASSERT_EQ(::fcntl(inherited.get(), F_SETFD, 0), 0);
  SymbolWorker worker;
  ASSERT_TRUE(resolve(worker));
  const std::string folder = "/proc/" + std::to_string(worker.pid()) + "/fd/";
  DIR* list = ::opendir(folder.c_str());
  ASSERT_NE(list, nullptr);
  while (const dirent* entry = ::readdir(list)) {
    std::array<char, 256> target{};
    if (::readlink((folder + entry->d_name).c_str(), target.data(), target.size() - 1) < 0) continue;
    const std::string name = target.data();
    const bool expected = name == "/dev/null" || name.starts_with("socket:") || name.ends_with("/statm") ||
                          (kIsSanitized && std::string(entry->d_name) == "2");
    EXPECT_TRUE(expected) << name;
  }
  ::closedir(list);
}

TEST_F(SymbolWorkerTest, KilledBetweenRequestsItIsStartedAnew) {
  SymbolWorker worker;
  const auto before = resolve(worker);
  ASSERT_TRUE(before);
  ASSERT_GT(named(*before), 0U);
  const pid_t first = worker.pid();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  const auto after = resolve(worker);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_NE(worker.pid(), first);
  EXPECT_EQ(named(*after), named(*before));
}

TEST_F(SymbolWorkerTest, WithoutAnAnswerInTimeTheFileIsGivenUpAndTheNextOneIsNot) {
  SymbolWorker worker({.time_s = std::chrono::seconds(1)});
  ASSERT_TRUE(resolve(worker));
  const pid_t stopped = worker.pid();
  ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
  const auto answer = resolve(worker);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::Failed);
  EXPECT_EQ(::kill(stopped, 0), -1) << "it is still there";
  EXPECT_TRUE(resolve(worker));
}

TEST_F(SymbolWorkerTest, FileThatEndsItTwiceIsGivenUp) {
  if (kIsSanitized) GTEST_SKIP() << "the sanitizer needs memory without a limit";
  SymbolWorker worker({.memory_bytes = 4 << 20});
  file_ = memory_file(library_with_symbols(100'000));
  const auto answer = resolve(worker);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("ended"), std::string::npos) << answer.error().message;
  SymbolWorker with_memory;
  const auto named_answer = resolve(with_memory);
  ASSERT_TRUE(named_answer);
  EXPECT_EQ(named(*named_answer), offsets_.size());
}

TEST_F(SymbolWorkerTest, FileThatEndsItIsAProblemInTheReportAndOtherFilesAreNamed) {
  if (kIsSanitized) GTEST_SKIP() << "the sanitizer needs memory without a limit";
  const test::TempDir folder;
  const std::string path = folder.file("hostile.so");
  const std::vector<char> hostile = library_with_symbols(100'000);
  std::ofstream(path, std::ios::binary).write(hostile.data(), static_cast<std::streamsize>(hostile.size()));
  const test::LoadedFile bad(path);
  const test::LoadedFile good(fixture_path("symbols_dwarf5"));
  Symbolizer symbolizer({}, {.memory_bytes = 4 << 20});
  const std::vector<Frame> unnamed = symbolizer.resolve(bad.space(), Addr{raw(bad.addresses().front())});
  ASSERT_EQ(unnamed.size(), 1U);
  EXPECT_EQ(unnamed.front().function, "");
  EXPECT_EQ(unnamed.front().module, path);
  const std::vector<std::string> problems = symbolizer.problems(bad.space());
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_TRUE(problems.front().starts_with(path + ": names are missing: the symbol worker ended")) << problems.front();
  size_t lines = 0;
  for (const std::vector<Frame>& frames : symbolizer.resolve(good.space(), good.addresses())) lines += frames.front().line;
  EXPECT_GT(lines, 0U);
  EXPECT_TRUE(symbolizer.problems(good.space()).empty());
}

TEST_F(SymbolWorkerTest, FileCutShortWhileItIsReadEndsOnlyTheWorker) {
  SymbolWorker worker;
  ASSERT_TRUE(resolve(worker));
  ASSERT_EQ(::ftruncate(file_.get(), 0), 0);
  const auto answer = resolve(worker);
  EXPECT_TRUE(!answer || named(*answer) == 0);
  const UniqueFd whole = memory_file(image_);
  const auto other = worker.resolve(2, whole.get(), places_, std::span(offsets_));
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_GT(named(*other), 0U);
}

TEST_F(SymbolWorkerTest, WorkerEndsWithItsOwner) {
  pid_t pid = 0;
  {
    SymbolWorker worker;
    ASSERT_TRUE(resolve(worker));
    pid = worker.pid();
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

// ---- what comes back may be anything -------------------------------------------------------------------------------

TEST(SymbolChannel, LongMessagesAndDescriptorsArriveWhole) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const SymbolChannel one((UniqueFd(pair[0])));
  const SymbolChannel two((UniqueFd(pair[1])));
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const size_t size : {0U, 1U, 32'768U, 32'769U, 100'000U}) {
    const std::vector<std::byte> body(size, std::byte(7));
    ASSERT_TRUE(one.send(SymbolMessageKind::Answer, body, file.get(), MSG_DONTWAIT));
    const auto message = two.receive([] { return true; });
    ASSERT_TRUE(message);
    EXPECT_EQ(message->kind, SymbolMessageKind::Answer);
    EXPECT_EQ(message->body, body);
    struct stat info {};
    ASSERT_EQ(::fstat(message->fd.get(), &info), 0);
    EXPECT_TRUE(S_ISCHR(info.st_mode));
  }
}

TEST(SymbolChannel, ShortPacketsAndSilenceAreNoMessages) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const SymbolChannel channel((UniqueFd(pair[0])));
  UniqueFd other(pair[1]);
  ASSERT_EQ(::send(other.get(), "abc", 3, 0), 3);
  EXPECT_FALSE(channel.receive([] { return true; }));
  EXPECT_FALSE(channel.receive([] { return false; }));
  other.reset();
  EXPECT_FALSE(channel.receive([] { return true; }));
}

TEST(PackedFrames, ComeBackAsTheyWere) {
  std::vector<Frame> frames(3);
  frames[0].function = "inner";
  frames[0].file = "/src/a.c";
  frames[0].line = UINT32_MAX;
  frames[0].inlined = true;
  frames[2].function = std::string(100'000, 'x');
  WireWriter out;
  pack_frames(frames, out);
  WireReader in(out.bytes());
  const std::vector<Frame> back = take_frames(in);
  EXPECT_TRUE(in.is_good() && in.is_at_end());
  ASSERT_EQ(back.size(), 3U);
  EXPECT_EQ(back[0].function, "inner");
  EXPECT_EQ(back[0].file, "/src/a.c");
  EXPECT_EQ(back[0].line, UINT32_MAX);
  EXPECT_TRUE(back[0].inlined);
  EXPECT_FALSE(back[2].inlined);
  EXPECT_EQ(back[2].function, std::string(65'536, 'x'));
}

TEST(PackedFrames, AnyBytesAreOneTo65Frames) {
  std::mt19937 random(3);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes(random() % 64);
    for (std::byte& byte : bytes) byte = std::byte(random() % 4 == 0 ? random() : random() % 8);
    WireReader in(bytes);
    const std::vector<Frame> frames = take_frames(in);
    ASSERT_GE(frames.size(), 1U);
    ASSERT_LE(frames.size(), 65U);
  }
}

}  // namespace
}  // namespace alloctrail
