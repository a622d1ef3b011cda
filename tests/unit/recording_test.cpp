// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/unit/sample_snapshots.h"
#include "user/handles.h"
#include "user/output/oom_json.h"
#include "user/output/report_json.h"
#include "user/recording/field_lists.h"
#include "user/recording/recording_reader.h"
#include "user/recording/recording_writer.h"

namespace alloctrail {
namespace {

/// Sets every field of a value to something of its own.
class Filler {
 public:
  template <class T>
  void fill(T& value) {
    if constexpr (HasFields<T>) {
      std::apply([&](auto&... field) { (fill(field), ...); }, fields(value));
    } else if constexpr (std::is_same_v<T, bool>) {
      value = !value;
    } else if constexpr (std::is_floating_point_v<T>) {
      value = 0.1 * ++number_;
    } else if constexpr (std::is_enum_v<T>) {
      value = T{1};
    } else {
      value = static_cast<T>(++number_ * 1'000'003);
      if constexpr (std::is_signed_v<T>) value = static_cast<T>(-value);
    }
  }
  void fill(std::string& value) { value = "text \xff " + std::to_string(++number_); }
  template <class Rep, class Period>
  void fill(std::chrono::duration<Rep, Period>& value) {
    value = std::chrono::duration<Rep, Period>(static_cast<Rep>(++number_ * 1'000'003));
  }
  void fill(std::chrono::system_clock::time_point& value) {
    value = std::chrono::system_clock::time_point(std::chrono::nanoseconds(++number_ * 1'000'003));
  }
  template <class T>
  void fill(std::optional<T>& value) {
    fill(value.emplace());
  }
  // Indices.
  void fill(std::optional<size_t>& value) { value = 1; }
  void fill(std::optional<uint32_t>& value) { value = 1; }
  template <class T>
  void fill(std::vector<T>& values) {
    values.resize(2);
    for (T& value : values) fill(value);
  }
  void fill(std::vector<Stack>& stacks) {
    Frame frame;
    fill(frame);
    stacks = {{{frame, frame}, AT_STACK_truncated}, {{}, AT_STACK_table_full}};
  }
  void fill(std::vector<Site>& sites) {
    sites = {{1, 1, {5, 4}, {3, 2}, {1, 1}, {}}, {0, 0, {UINT64_MAX, 4}, {3, 2}, {1, 1}, {}}};
    for (Site& site : sites) fill(site.sampled);
  }
  void fill(std::vector<FaultSite>& sites) { sites = {{1, 1, ResidentKind::File, 3, 4096}}; }
  void fill(std::vector<OomThread>& threads) {
    threads.resize(1);
    fill(threads.front());
    threads.front().stack = 1;
  }
  void fill(HasCounters auto& counters) {
    for_each_counter(counters, [&](std::string_view, auto& counter) { counter = ++number_; });
  }

 private:
  uint32_t number_ = 0;
};

Moment everything() {
  Moment moment;
  Filler filler;
  filler.fill(moment.snapshots);
  moment.deaths.resize(1);
  filler.fill(moment.deaths.front());
  moment.deaths.front().trigger_stack = 1;
  return moment;
}

std::vector<Moment> story() {
  Snapshot last = samples::leaking();
  last.end = EndReason::Exited;
  std::vector<Moment> story;
  story.push_back({{samples::leaking_before(), samples::idle()}, {}});
  story.push_back({{samples::leaking(), samples::idle()}, {}});
  story.push_back({{last}, {}});
  story.push_back(everything());
  return story;
}

std::string written(const std::vector<Moment>& moments) {
  RecordingWriter writer;
  std::string bytes = RecordingWriter::header();
  for (const Moment& moment : moments) bytes += writer.add(moment);
  return bytes;
}

class RecordingTest : public testing::Test {
 protected:
  /// The path of a file of these bytes, until the next call.
  std::string file(const std::string& bytes) {
    file_ = UniqueFd(::memfd_create("recording", MFD_CLOEXEC));
    if (::write(file_.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) throw std::runtime_error("write");
    return "/proc/self/fd/" + std::to_string(file_.get());
  }

  /// All moments, and why there are no more.
  struct Content {
    std::vector<Moment> moments;
    std::string problem;
    bool damaged = false;
  };
  Content read(const std::string& bytes, const RecordingLimits& limits = {}) {
    auto reader = RecordingReader::open(file(bytes), limits);
    if (!reader) return {{}, reader.error().message, true};
    Content content;
    while (auto moment = reader->next()) content.moments.push_back(*std::move(moment));
    content.problem = reader->problem();
    content.damaged = reader->damaged();
    return content;
  }

 private:
  UniqueFd file_;
};

std::string json(const Moment& moment) {
  std::string text;
  ReportQuery query;
  query.frames = FrameChoice::All;
  for (const Snapshot& snapshot : moment.snapshots)
    text += report_json(snapshot, report_view(snapshot, nullptr, query)) + "\n";
  for (const OomReport& death : moment.deaths) text += oom_json(death) + "\n";
  return text;
}

TEST_F(RecordingTest, WhatIsReadIsWhatWasWritten) {
  const std::vector<Moment> moments = story();
  const Content content = read(written(moments));
  EXPECT_EQ(content.problem, "");
  ASSERT_EQ(content.moments.size(), moments.size());
  for (size_t i = 0; i < moments.size(); ++i) EXPECT_EQ(json(content.moments[i]), json(moments[i])) << i;
}

// Of everything() no field has the value it has by default, and the writer writes every field.
TEST_F(RecordingTest, EveryFieldComesBack) {
  const std::string bytes = written(story());
  EXPECT_EQ(written(read(bytes).moments), bytes);
}

TEST_F(RecordingTest, AMomentLikeTheOneBeforeTakesLittleRoom) {
  Snapshot snapshot = samples::leaking();
  for (uint32_t i = 0; i < 50'000; ++i)
    snapshot.sites.push_back({i % 3, i % 2, {i * 977, i}, {i * 31, i / 31}, {}, {}});
  RecordingWriter writer;
  const size_t first = writer.add({{snapshot}, {}}).size();
  snapshot.sites[70].allocated += {10, 1};
  EXPECT_LT(writer.add({{snapshot}, {}}).size() * 100, first);
}

TEST_F(RecordingTest, SitesThatComeAndGoAndChangePlaces) {
  Snapshot snapshot = samples::leaking();
  std::vector<Moment> moments{{{snapshot}, {}}};
  std::swap(snapshot.sites[0], snapshot.sites[3]);
  snapshot.sites.pop_back();
  moments.push_back({{snapshot}, {}});
  snapshot.sites.insert(snapshot.sites.end(), 5, snapshot.sites[0]);
  moments.push_back({{snapshot}, {}});
  const Content content = read(written(moments));
  ASSERT_EQ(content.moments.size(), 3u);
  for (size_t i = 0; i < moments.size(); ++i) EXPECT_EQ(json(content.moments[i]), json(moments[i])) << i;
}

TEST_F(RecordingTest, AFileCutAnywhereIsReadUpToThere) {
  const std::vector<Moment> moments = story();
  const std::string bytes = written(moments);
  std::vector<size_t> ends{RecordingWriter::header().size()};
  RecordingWriter writer;
  for (const Moment& moment : moments) ends.push_back(ends.back() + writer.add(moment).size());
  for (size_t size = ends[0]; size <= bytes.size(); ++size) {
    const Content content = read(bytes.substr(0, size));
    const auto whole = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), size) - ends.begin() - 1);
    ASSERT_EQ(content.moments.size(), whole) << size;
    EXPECT_EQ(content.problem.empty(), ends[whole] == size) << size;
    EXPECT_FALSE(content.damaged) << size << content.problem;
    const bool says_where =
        content.problem.find("is cut short in its moment " + std::to_string(whole + 1)) != std::string::npos;
    EXPECT_NE(says_where, ends[whole] == size) << content.problem;
  }
  for (size_t size = 0; size < ends[0]; ++size) EXPECT_TRUE(read(bytes.substr(0, size)).damaged) << size;
}

// Some bits of a zstd frame mean nothing.
TEST_F(RecordingTest, AChangedByteIsNoticed) {
  const std::vector<Moment> moments = story();
  const std::string bytes = written(moments);
  size_t unnoticed = 0;
  for (size_t at = RecordingWriter::header().size(); at < bytes.size(); at += 3) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    const Content content = read(changed);
    unnoticed += content.moments.size() == moments.size();
    for (size_t i = 0; i < content.moments.size(); ++i) ASSERT_EQ(json(content.moments[i]), json(moments[i])) << at;
  }
  EXPECT_LT(unnoticed * 100, bytes.size());
}

std::string packed(const std::string& message) {
  std::string frame(ZSTD_compressBound(message.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), message.data(), message.size(), 1));
  return frame;
}

std::string unpacked(const std::string& frame) {
  std::string message(ZSTD_getFrameContentSize(frame.data(), frame.size()), '\0');
  message.resize(ZSTD_decompress(message.data(), message.size(), frame.data(), frame.size()));
  return message;
}

// Behind the checksum: what an enemy would write.
TEST_F(RecordingTest, AnyMessageIsReadOrRefused) {
  const std::string message = unpacked(RecordingWriter().add(everything()));
  std::mt19937 random(20'250'203);
  size_t refused = 0;
  for (int round = 0; round < 2'000; ++round) {
    std::string changed = message;
    for (uint32_t changes = 1 + random() % 4; changes != 0; --changes)
      changed[random() % changed.size()] = static_cast<char>(random());
    const Content content = read(RecordingWriter::header() + packed(changed));
    refused += content.damaged;
    for (const Moment& moment : content.moments) (void)json(moment);
  }
  EXPECT_GT(refused, 200u);
  EXPECT_LT(refused, 1'950u);
}

TEST_F(RecordingTest, AMomentOfAnySizeTakesBoundedMemory) {
  const RecordingLimits limits{.moment_bytes = size_t{1} << 20, .value_bytes = size_t{1} << 24};
  const Content bomb = read(RecordingWriter::header() + packed(std::string(size_t{8} << 20, '\0')), limits);
  EXPECT_TRUE(bomb.damaged);
  EXPECT_NE(bomb.problem.find("a moment larger than any"), std::string::npos) << bomb.problem;

  std::string snapshots;
  for (int i = 0; i < 100'000; ++i) snapshots += {recording::kSnapshots << 3 | 2, 0};
  const Content many = read(RecordingWriter::header() + packed(snapshots), limits);
  EXPECT_TRUE(many.damaged);
  EXPECT_NE(many.problem.find("more values than a recording has"), std::string::npos) << many.problem;
}

TEST_F(RecordingTest, FieldsOfALaterVersionAreSkipped) {
  std::string message = unpacked(RecordingWriter().add({{samples::leaking()}, {}}));
  message += std::string("\x9a\x06\x03", 3) + "new";  // field 99, three bytes
  const Content content = read(RecordingWriter::header() + packed(message));
  EXPECT_EQ(content.problem, "");
  ASSERT_EQ(content.moments.size(), 1u);
  EXPECT_EQ(json(content.moments[0]), json({{samples::leaking()}, {}}));
}

// A file of the first version, kept as it was written then.
TEST_F(RecordingTest, OldRecordingsStayReadable) {
  std::ifstream old(GOLDEN_DIR "/recording_1.alloctrail", std::ios::binary);
  const Content content = read({std::istreambuf_iterator<char>(old), {}});
  EXPECT_EQ(content.problem, "");
  ASSERT_EQ(content.moments.size(), 2u);
  EXPECT_EQ(json(content.moments[0]), json({{samples::leaking_before(), samples::idle()}, {}}));
  EXPECT_EQ(json(content.moments[1]), json({{samples::leaking(), samples::idle()}, {}}));
}

TEST_F(RecordingTest, WhatIsNoRecordingIsRefused) {
  const auto message = [](const std::string& path) {
    auto reader = RecordingReader::open(path);
    return reader ? std::string("opened") : reader.error().message;
  };
  EXPECT_EQ(message("/no/such/file"), "cannot open '/no/such/file': No such file or directory");
  EXPECT_EQ(message("/tmp"), "'/tmp' is not a file");
  EXPECT_EQ(message("/dev/zero"), "'/dev/zero' is not a file");
  const std::string text = file("{\"schema\": \"alloctrail/report/1\"}");
  EXPECT_EQ(message(text), "'" + text + "' is not a recording");
  std::string newer = RecordingWriter::header();
  newer.replace(newer.find("/1\n"), 3, "/9\n");
  const std::string later = file(newer);
  EXPECT_EQ(message(later), "'" + later + "' has format 9; this alloctrail reads up to 1");
}

}  // namespace
}  // namespace alloctrail
