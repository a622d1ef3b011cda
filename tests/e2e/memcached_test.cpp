// SPDX-License-Identifier: Apache-2.0
// memcached with four worker threads: our growth against its own count of slab memory.
#include <gtest/gtest.h>

#include <list>
#include <string>

#include "tests/e2e/real_program.h"
#include "tests/support/leftovers.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

constexpr size_t kValueBytes = 10000;

class Memcached : public RealProgram {
 protected:
  Child server{
      {.arguments = {"/usr/bin/memcached", "-u", "root", "-s", folder.file("memcached"), "-t", "4", "-m", "200"}},
      deadline};
  std::list<SocketClient> clients;  ///< each connection goes to the next worker thread

  void connect() {
    for (int i = 0; i < 8; ++i) clients.emplace_back(folder.file("memcached"), deadline);
  }

  static std::string value(int key) { return std::string(kValueBytes, static_cast<char>('a' + key % 26)); }

  void set(int first, int last) {
    for (int key = first; key < last; ++key) {
      SocketClient& client = *std::next(clients.begin(), key % 8);
      client.send("set key" + std::to_string(key) + " 0 0 " + std::to_string(kValueBytes) + "\r\n" + value(key) +
                  "\r\n");
      ASSERT_EQ(client.read_until("\r\n"), "STORED\r\n");
    }
  }

  void expect_kept(int first, int last) {
    for (int key = first; key < last; ++key) {
      SocketClient& client = *std::next(clients.begin(), (key + 3) % 8);
      client.send("get key" + std::to_string(key) + "\r\n");
      const std::string expected =
          "VALUE key" + std::to_string(key) + " 0 " + std::to_string(kValueBytes) + "\r\n" + value(key) + "\r\nEND\r\n";
      ASSERT_EQ(client.read_until("END\r\n"), expected);
    }
  }

  uint64_t slab_bytes() {
    clients.front().send("stats slabs\r\n");
    const std::string stats = clients.front().read_until("END\r\n");
    const std::string marker = "total_malloced ";
    return std::stoull(stats.substr(stats.find(marker) + marker.size()));
  }
};

TEST_F(Memcached, GrowthAgreesWithItsSlabsAndValuesAreUnchanged) {
  connect();
  set(0, 500);
  Tracer tracer({server.pid()}, deadline);
  set(500, 1500);
  const json before = tracer.snapshot();
  const uint64_t slabs_before = slab_bytes();
  set(1500, 8000);
  const json after = tracer.snapshot();
  expect_close("memcached -t 4, 6,500 values", growth(before, after), slab_bytes() - slabs_before, 0.05);
  expect_kept(0, 8000);
  EXPECT_TRUE(after.at("accounting").at("balanced").get<bool>()) << after.at("accounting");
  expect_nothing_lost(after);
  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(changed_text(server.pid()), std::vector<std::string>{});
  expect_kept(0, 8000);
}

}  // namespace
}  // namespace alloctrail::test
