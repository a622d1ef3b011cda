// SPDX-License-Identifier: Apache-2.0
#include "user/oom/kill_records.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace alloctrail {
namespace {

constexpr size_t kRememberedKills = 1024;

/// The record as its type, if it is long enough.
template <class Record>
std::optional<Record> as(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(Record)) return std::nullopt;
  Record record;
  std::memcpy(&record, bytes.data(), sizeof(Record));
  return record;
}

/// The stack memory behind a record.
template <class Record>
std::vector<std::byte> memory_after(std::span<const std::byte> bytes, const at_oom_stack& stack) {
  const auto memory = bytes.subspan(sizeof(Record));
  const auto used = memory.first(std::min<size_t>(memory.size(), stack.raw_bytes));
  return {used.begin(), used.end()};
}

bool has_thread(const OomCapture& capture, uint32_t tid) {
  return std::ranges::any_of(capture.threads,
                             [&](const CapturedThread& thread) { return thread.record.header.tid == tid; });
}

bool claimed(const OomCapture& capture) { return capture.marks > 0 || (capture.kill.flags & AT_OOM_EXITING) != 0; }

}  // namespace

std::optional<CapturedThread> captured_thread(std::span<const std::byte> bytes) {
  const auto record = as<at_oom_thread>(bytes);
  if (!record) return std::nullopt;
  return CapturedThread{.record = *record, .stack_memory = memory_after<at_oom_thread>(bytes, record->stack)};
}

OomCapture* KillRecords::find(uint64_t kill) {
  const auto found = open_.find(kill);
  return found == open_.end() ? nullptr : &found->second;
}

void KillRecords::add(std::span<const std::byte> bytes) {
  const auto header = as<at_oom_header>(bytes);
  if (!header) return;
  switch (header->kind) {
    case AT_OOM_KILL: add_kill(bytes); break;
    case AT_OOM_MARK:
      if (const auto mark = as<at_oom_mark>(bytes)) add_mark(*mark);
      break;
    case AT_OOM_COMMAND:
      if (const auto command = as<at_oom_command>(bytes))
        if (OomCapture* capture = find(header->kill))
          capture->command.assign(command->arguments, std::min<size_t>(command->bytes, sizeof(command->arguments)));
      break;
    case AT_OOM_THREAD: add_thread(bytes); break;
    case AT_OOM_END:
      if (const auto end = as<at_oom_end>(bytes))
        if (OomCapture* capture = find(header->kill)) {
          capture->end = *end;
          capture->marks = std::max(capture->marks, end->marks);  // the record of the mark itself may have found no room
        }
      break;
    default: break;
  }
}

void KillRecords::add_kill(std::span<const std::byte> bytes) {
  const auto record = as<at_oom_kill>(bytes);
  if (!record) return;
  const at_oom_kill& kill = *record;
  const auto same_process = [&](const Past& past) {
    return past.tgid == kill.header.tgid && past.start_ns == kill.start_ns;
  };
  // A mark that came after the process's end looks like one of a process that was dying anyway.
  if ((kill.flags & AT_OOM_EXITING) != 0) {
    if (std::ranges::any_of(past_, same_process)) return;
    for (auto& [number, capture] : open_) {
      if (capture.kill.header.tgid != kill.header.tgid || capture.kill.start_ns != kill.start_ns) continue;
      capture.marks++;
      return;
    }
  }
  OomCapture& capture = open_[kill.header.kill];
  capture.kill = kill;
  capture.trigger_memory = memory_after<at_oom_kill>(bytes, kill.stack);
}

void KillRecords::add_mark(const at_oom_mark& mark) {
  if (mark.header.kill != 0) {
    if (OomCapture* capture = find(mark.header.kill)) capture->marks++;
    return;
  }
  for (auto& [number, capture] : open_)
    if (capture.kill.header.tgid == mark.header.tgid || has_thread(capture, mark.header.tid)) capture.marks++;
}

void KillRecords::add_thread(std::span<const std::byte> bytes) {
  auto thread = captured_thread(bytes);
  OomCapture* capture = thread ? find(thread->record.header.kill) : nullptr;
  if (capture == nullptr || has_thread(*capture, thread->record.header.tid)) return;
  capture->threads.push_back(*std::move(thread));
}

void KillRecords::finish(OomCapture capture, std::vector<OomCapture>& finished) {
  past_.push_back({.tgid = capture.kill.header.tgid, .start_ns = capture.kill.start_ns});
  if (past_.size() > kRememberedKills) past_.pop_front();
  if (claimed(capture)) {
    finished.push_back(std::move(capture));
  } else {
    unclaimed_++;
  }
}

std::vector<OomCapture> KillRecords::take_finished(Nanoseconds now) {
  std::vector<OomCapture> finished;
  for (auto at = open_.begin(); at != open_.end();) {
    OomCapture& capture = at->second;
    const Nanoseconds killed_at(capture.kill.header.time_ns);
    const bool ended = capture.end && (claimed(capture) || now >= Nanoseconds(capture.end->header.time_ns) + kMarkGrace);
    if (!ended && now < killed_at + kEndGrace) {
      ++at;
      continue;
    }
    finish(std::move(capture), finished);
    at = open_.erase(at);
  }
  return finished;
}

}  // namespace alloctrail
