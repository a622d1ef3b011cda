// SPDX-License-Identifier: Apache-2.0
// The races of a kill as the records tell them: which of them are one report, which none.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "user/oom/kill_records.h"

namespace alloctrail {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr uint64_t kStart = 77;

template <class Record>
std::vector<std::byte> bytes_of(const Record& record, size_t memory = 0) {
  std::vector<std::byte> bytes(sizeof(record) + memory);
  std::memcpy(bytes.data(), &record, sizeof(record));
  return bytes;
}

at_oom_header header(uint64_t kill, at_oom_kind kind, uint32_t tgid, uint32_t tid, uint64_t time_ns = 1000) {
  at_oom_header result{};
  result.time_ns = time_ns;
  result.kill = kill;
  result.kind = kind;
  result.tgid = tgid;
  result.tid = tid;
  return result;
}

class KillRecordsTest : public ::testing::Test {
 protected:
  void kill(uint64_t number, uint32_t tgid, uint32_t flags = 0) {
    at_oom_kill record{};
    record.header = header(number, AT_OOM_KILL, tgid, tgid);
    record.start_ns = kStart;
    record.flags = flags;
    records.add(bytes_of(record));
  }
  void mark(uint64_t number, uint32_t tgid, uint32_t tid) {
    records.add(bytes_of(at_oom_mark{.header = header(number, AT_OOM_MARK, tgid, tid)}));
  }
  void thread(uint64_t number, uint32_t tgid, uint32_t tid, uint32_t claimed_memory = 0, size_t memory = 0) {
    at_oom_thread record{};
    record.header = header(number, AT_OOM_THREAD, tgid, tid);
    record.stack.raw_bytes = claimed_memory;
    records.add(bytes_of(record, memory));
  }
  void end(uint64_t number, uint32_t tgid, uint32_t marks = 0) {
    at_oom_end record{};
    record.marks = marks;
    record.header = header(number, AT_OOM_END, tgid, tgid);
    records.add(bytes_of(record));
  }

  KillRecords records;
};

TEST_F(KillRecordsTest, MarkedAndEndedIsOneCaptureWithItsThreads) {
  kill(1, 10);
  mark(1, 10, 10);
  thread(1, 10, 10);
  thread(1, 10, 11);
  EXPECT_TRUE(records.pending());
  EXPECT_TRUE(records.take_finished(nanoseconds(2000)).empty());
  end(1, 10);
  const auto captures = records.take_finished(nanoseconds(2000));
  ASSERT_EQ(captures.size(), 1U);
  EXPECT_EQ(captures[0].pid(), Tgid(10));
  EXPECT_EQ(captures[0].threads.size(), 2U);
  EXPECT_FALSE(records.pending());
}

TEST_F(KillRecordsTest, KillThatIsNeverMarkedIsNotReported) {
  kill(1, 10);
  end(1, 10);
  EXPECT_TRUE(records.take_finished(milliseconds(50)).empty());
  EXPECT_TRUE(records.pending());
  EXPECT_TRUE(records.take_finished(milliseconds(200)).empty());
  EXPECT_FALSE(records.pending());
  EXPECT_EQ(records.unclaimed(), 1U);
}

TEST_F(KillRecordsTest, MarkThatComesAfterTheEndConfirms) {
  kill(1, 10);
  end(1, 10);
  EXPECT_TRUE(records.take_finished(nanoseconds(2000)).empty());
  mark(0, 10, 10);
  EXPECT_EQ(records.take_finished(nanoseconds(2000)).size(), 1U);
}

TEST_F(KillRecordsTest, MarkWhoseRecordWasLostIsCountedInTheEnd) {
  kill(1, 10);
  end(1, 10, 1);
  EXPECT_EQ(records.take_finished(nanoseconds(2000)).size(), 1U);
}

TEST_F(KillRecordsTest, MarkByTheIdOfAThreadConfirms) {
  kill(1, 10);
  thread(1, 10, 13);
  mark(0, 13, 13);
  end(1, 10);
  EXPECT_EQ(records.take_finished(nanoseconds(2000)).size(), 1U);
}

TEST_F(KillRecordsTest, LateMarkOfTheSameProcessIsNotASecondReport) {
  kill(1, 10);
  end(1, 10);
  kill(2, 10, AT_OOM_EXITING);  // the mark came when the state of kill 1 was gone
  EXPECT_EQ(records.take_finished(nanoseconds(2000)).size(), 1U);
  kill(3, 10, AT_OOM_EXITING);  // and once more after the report
  EXPECT_FALSE(records.pending());
}

TEST_F(KillRecordsTest, ProcessThatWasDyingAnywayIsReportedAsSuch) {
  kill(1, 10, AT_OOM_EXITING);
  end(1, 10);
  EXPECT_EQ(records.take_finished(nanoseconds(2000)).size(), 1U);
}

TEST_F(KillRecordsTest, ThreadSentTwiceIsOneThread) {
  kill(1, 10);
  mark(1, 10, 10);
  thread(1, 10, 11);
  thread(1, 10, 11);
  end(1, 10);
  EXPECT_EQ(records.take_finished(nanoseconds(2000)).at(0).threads.size(), 1U);
}

TEST_F(KillRecordsTest, KillsOverlap) {
  kill(1, 10);
  kill(2, 20);
  mark(2, 20, 20);
  mark(1, 10, 10);
  thread(2, 20, 21);
  thread(1, 10, 11);
  end(2, 20);
  const auto captures = records.take_finished(nanoseconds(2000));
  ASSERT_EQ(captures.size(), 1U);
  EXPECT_EQ(captures[0].pid(), Tgid(20));
  EXPECT_EQ(captures[0].threads.at(0).record.header.tid, 21U);
}

TEST_F(KillRecordsTest, ProcessThatDoesNotEndIsReportedAllTheSame) {
  kill(1, 10);
  mark(1, 10, 10);
  EXPECT_TRUE(records.take_finished(seconds(4)).empty());
  const auto captures = records.take_finished(seconds(6));
  ASSERT_EQ(captures.size(), 1U);
  EXPECT_FALSE(captures[0].end);
}

TEST_F(KillRecordsTest, RecordsThatMakeNoSenseChangeNothing) {
  records.add({});
  records.add(std::vector<std::byte>(sizeof(at_oom_header)));
  records.add(bytes_of(header(1, AT_OOM_KILL, 10, 10)));
  thread(7, 10, 10);
  end(7, 10);
  EXPECT_FALSE(records.pending());
}

TEST_F(KillRecordsTest, StackMemoryIsNoMoreThanWasSent) {
  kill(1, 10);
  mark(1, 10, 10);
  thread(1, 10, 10, 4096, 16);
  end(1, 10);
  EXPECT_EQ(records.take_finished(nanoseconds(2000)).at(0).threads.at(0).stack_memory.size(), 16U);
}

}  // namespace
}  // namespace alloctrail
