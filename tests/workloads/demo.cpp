// SPDX-License-Identifier: Apache-2.0
// demo: a small telemetry server in one process. Five named threads take packets in, parse, cache, log and count them,
// all of them allocating all the time. Exactly one of them forgets to give something back. Runs until it is killed.
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

struct Packet {
  uint32_t sensor = 0;
  std::string payload;
};

struct Reading {
  uint32_t sensor = 0;
  std::map<std::string, double> values;
};

/// Hands items from one thread to the next; blocks the giver while it is full.
template <class Item>
class Channel {
 public:
  void put(Item item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return items_.size() < kCapacity; });
    items_.push_back(std::move(item));
    changed_.notify_all();
  }

  Item take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !items_.empty(); });
    Item item = std::move(items_.front());
    items_.pop_front();
    changed_.notify_all();
    return item;
  }

 private:
  static constexpr size_t kCapacity = 64;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
};

void name_this_thread(const char* name) {
  ::prctl(PR_SET_NAME, name);
}

// ---- network-rx: makes packets as they would come from a socket ------------------------------------------------

[[gnu::noinline]] Packet receive_packet(std::mt19937& random) {
  const uint32_t sensor = random() % 500;
  std::string payload = "sensor=" + std::to_string(sensor);
  for (const char* field : {"temperature", "humidity", "pressure", "voltage"})
    payload.append(";").append(field).append("=").append(std::to_string(random() % 1000));
  return {sensor, std::move(payload)};
}

void receive(Channel<Packet>& packets) {
  name_this_thread("network-rx");
  std::mt19937 random(1);
  for (;;) {
    for (int burst = 0; burst < 20; ++burst) packets.put(receive_packet(random));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// ---- parser: turns text into readings ----------------------------------------------------------------------------

[[gnu::noinline]] Reading parse_packet(const Packet& packet) {
  Reading reading{packet.sensor, {}};
  std::string_view rest = packet.payload;
  while (!rest.empty()) {
    const std::string field(rest.substr(0, rest.find(';')));
    rest.remove_prefix(std::min(rest.size(), field.size() + 1));
    if (const size_t equals = field.find('='); equals != std::string::npos)
      reading.values[field.substr(0, equals)] = std::stod(field.substr(equals + 1));
  }
  return reading;
}

void parse(Channel<Packet>& packets, Channel<Reading>& readings) {
  name_this_thread("parser");
  for (;;) readings.put(parse_packet(packets.take()));
}

// ---- session-cache: the latest readings of each sensor; bounded, and honest about it -------------------------------

class SessionCache {
 public:
  [[gnu::noinline]] void remember(const Reading& reading) {
    std::list<Reading>& history = histories_[reading.sensor];
    history.push_back(reading);
    if (history.size() > kHistory) history.pop_front();
  }

 private:
  static constexpr size_t kHistory = 8;
  std::unordered_map<uint32_t, std::list<Reading>> histories_;
};

// ---- audit: who sent what, for the compliance people ----------------------------------------------------------------

struct AuditRecord {
  uint64_t sequence;
  uint32_t sensor;
  std::array<char, 1000> summary;
};

class AuditTrail {
 public:
  /// The record replaces the sensor's previous one, which nobody deletes: the leak of this demo.
  [[gnu::noinline]] void add_record(const Reading& reading) {
    auto* record = new AuditRecord{++sequence_, reading.sensor, {}};
    std::snprintf(record->summary.data(), record->summary.size(), "%zu values", reading.values.size());
    latest_[reading.sensor] = record;
  }

 private:
  uint64_t sequence_ = 0;
  std::unordered_map<uint32_t, AuditRecord*> latest_;
};

void keep_audit(Channel<Reading>& audited) {
  name_this_thread("audit");
  AuditTrail trail;
  for (;;) trail.add_record(audited.take());
}

void cache(Channel<Reading>& readings, Channel<Reading>& audited, Channel<std::string>& lines) {
  name_this_thread("session-cache");
  SessionCache sessions;
  for (;;) {
    Reading reading = readings.take();
    sessions.remember(reading);
    lines.put("sensor " + std::to_string(reading.sensor) + " reported " + std::to_string(reading.values.size()) +
              " values to the session cache");
    audited.put(std::move(reading));
  }
}

// ---- logger: keeps the last lines, as a ring
// -------------------------------------------------------------------------

void log(Channel<std::string>& lines) {
  name_this_thread("logger");
  std::deque<std::string> ring;
  for (;;) {
    ring.push_back(lines.take());
    if (ring.size() > 2000) ring.pop_front();
  }
}

}  // namespace

int main() {
  Channel<Packet> packets;
  Channel<Reading> readings;
  Channel<Reading> audited;
  Channel<std::string> lines;
  std::vector<std::thread> threads;
  threads.emplace_back([&] { receive(packets); });
  threads.emplace_back([&] { parse(packets, readings); });
  threads.emplace_back([&] { cache(readings, audited, lines); });
  threads.emplace_back([&] { keep_audit(audited); });
  threads.emplace_back([&] { log(lines); });
  std::printf("ready %d\n", static_cast<int>(::getpid()));
  std::fflush(stdout);
  for (std::thread& thread : threads) thread.join();
}
