// SPDX-License-Identifier: Apache-2.0
// Messages between the program and its symbol worker, over a pair of sockets; a message may carry one descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "user/handles.h"

namespace alloctrail {

enum class SymbolMessageKind : uint32_t {
  Ready,           ///< worker: how it is confined
  Resolve,         ///< program: a file (with its descriptor) and offsets in it
  DebugFile,       ///< worker: wants a separate debug file
  DebugFileReply,  ///< program: its descriptor, or none
  Answer,          ///< worker: the names
};

struct SymbolMessage {
  SymbolMessageKind kind{};
  std::vector<std::byte> body;
  UniqueFd fd;
};

class SymbolChannel {
 public:
  /// The longest message that is sent or accepted.
  static constexpr size_t kMaxBytes = 8 << 20;

  SymbolChannel() = default;
  /// `socket` is one of a pair of SOCK_SEQPACKET.
  explicit SymbolChannel(UniqueFd socket) : socket_(std::move(socket)) {}

  [[nodiscard]] int fd() const { return socket_.get(); }
  /// False if the other side is gone, or (with MSG_DONTWAIT in `flags`) does not read.
  [[nodiscard]] bool send(SymbolMessageKind kind, std::span<const std::byte> body, int fd, int flags) const;
  /// The next message; nothing if the other side is gone, has sent nonsense, or `wait` returned false. It is called before
  /// each read.
  [[nodiscard]] std::optional<SymbolMessage> receive(const std::function<bool()>& wait) const;

 private:
  UniqueFd socket_;
};

}  // namespace alloctrail
