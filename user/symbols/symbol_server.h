// SPDX-License-Identifier: Apache-2.0
// The symbol worker: a process of its own that reads ELF and DWARF, which may be hostile, and answers over a socket.
#pragma once

#include <span>
#include <optional>

namespace alloctrail {

/// The first argument that makes the program a symbol worker, and the descriptor it then answers on.
inline constexpr const char* kSymbolWorkerArgument = "--symbol-worker";
inline constexpr int kSymbolWorkerSocket = 3;

/// Serves as a symbol worker if the command line says so, and returns its exit code then. To be called first of all.
[[nodiscard]] std::optional<int> serve_as_symbol_worker(std::span<char* const> arguments);

}  // namespace alloctrail
