// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/real_program.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cmath>
#include <cstring>
#include <iostream>
#include <stdexcept>

#include "tests/support/report.h"

namespace alloctrail::test {

SocketClient::SocketClient(const std::string& path, const Deadline& deadline)
    : deadline_(deadline), socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) throw std::runtime_error(path + " is too long for a socket");
  std::memcpy(address.sun_path, path.data(), path.size());
  while (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    if (deadline_.left_ms() == 0) throw TimedOut("nobody listens on " + path);
    ::poll(nullptr, 0, 1);
  }
}

void SocketClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) throw std::runtime_error("the server hung up");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

std::string SocketClient::read_until(std::string_view end) {
  std::array<char, 65536> buffer;
  size_t found = 0;
  while ((found = unread_.find(end)) == std::string::npos) {
    pollfd wait{socket_.get(), POLLIN, 0};
    if (::poll(&wait, 1, deadline_.left_ms()) == 0) throw TimedOut("no '" + std::string(end) + "' from the server");
    const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (count <= 0) throw std::runtime_error("the server hung up");
    unread_.append(buffer.data(), static_cast<size_t>(count));
  }
  std::string result = unread_.substr(0, found + end.size());
  unread_.erase(0, found + end.size());
  return result;
}

void expect_close(std::string_view what, uint64_t ours, uint64_t programs_own, double tolerance) {
  const double ratio = static_cast<double>(ours) / static_cast<double>(programs_own);
  std::cout << what << ": alloctrail " << ours << " bytes, the program itself " << programs_own << " bytes, ratio "
            << ratio << "\n";
  EXPECT_LE(std::abs(ratio - 1), tolerance) << what;
}

uint64_t growth(const nlohmann::json& earlier, const nlohmann::json& later) {
  return amount(later.at("totals"), "outstanding").bytes - amount(earlier.at("totals"), "outstanding").bytes;
}

}  // namespace alloctrail::test
