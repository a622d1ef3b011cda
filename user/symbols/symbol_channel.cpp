// SPDX-License-Identifier: Apache-2.0
// SymbolChannel: a message is one or more packets; each begins with a header.
#include "user/symbols/symbol_channel.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace alloctrail {
namespace {

constexpr size_t kPacketBytes = 32 * 1024;

struct PacketHeader {
  SymbolMessageKind kind;
  uint32_t is_last;
};

struct Packet {
  PacketHeader header{};
  std::array<std::byte, kPacketBytes> body;
  size_t body_bytes = 0;
  UniqueFd fd;
};

/// Takes over what came with a packet, wanted or not.
UniqueFd received_fd(msghdr& message) {
  UniqueFd first;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      UniqueFd owned(fd);
      if (!first) first = std::move(owned);
    }
  }
  return first;
}

bool receive_packet(int socket, Packet& packet) {
  std::array<iovec, 2> parts{iovec{&packet.header, sizeof packet.header}, iovec{packet.body.data(), packet.body.size()}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return false;
  packet.fd = received_fd(message);
  if (static_cast<size_t>(got) < sizeof packet.header || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return false;
  packet.body_bytes = static_cast<size_t>(got) - sizeof packet.header;
  return true;
}

bool send_packet(int socket, PacketHeader header, std::span<const std::byte> body, int fd, int flags) {
  std::array<iovec, 2> parts{iovec{&header, sizeof header}, iovec{const_cast<std::byte*>(body.data()), body.size()}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | flags);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

}  // namespace

bool SymbolChannel::send(SymbolMessageKind kind, std::span<const std::byte> body, int fd, int flags) const {
  if (body.size() > kMaxBytes) return false;
  do {
    const auto part = body.first(std::min(body.size(), kPacketBytes));
    body = body.subspan(part.size());
    if (!send_packet(socket_.get(), {kind, body.empty() ? 1U : 0U}, part, fd, flags)) return false;
    fd = -1;
  } while (!body.empty());
  return true;
}

std::optional<SymbolMessage> SymbolChannel::receive(const std::function<bool()>& wait) const {
  SymbolMessage message;
  Packet packet;
  for (bool is_first = true; is_first || packet.header.is_last == 0; is_first = false) {
    if (!wait() || !receive_packet(socket_.get(), packet)) return std::nullopt;
    if (is_first) {
      message.kind = packet.header.kind;
      message.fd = std::move(packet.fd);
    }
    if (packet.header.kind != message.kind || message.body.size() + packet.body_bytes > kMaxBytes) return std::nullopt;
    message.body.insert(message.body.end(), packet.body.begin(),
                        packet.body.begin() + static_cast<ptrdiff_t>(packet.body_bytes));
  }
  return message;
}

}  // namespace alloctrail
