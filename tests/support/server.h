// SPDX-License-Identifier: Apache-2.0
// Starting servers of the distribution: ports, workers, and nginx in a folder of the caller's.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace alloctrail::test {

/// A TCP port of 127.0.0.1 that nobody listens on now.
uint16_t free_port();

/// The one child of a process, such as a server's worker: its log names it as its own pid namespace does.
pid_t child_of(pid_t parent);

/// Command line of nginx with one worker, which serves /index.html, 20,000 bytes that it compresses for each request. Its
/// files are written to `folder`; it logs "start worker process " to its standard error once it serves.
std::vector<std::string> nginx_command(const std::string& folder, uint16_t port);

}  // namespace alloctrail::test
