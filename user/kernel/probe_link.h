// SPDX-License-Identifier: Apache-2.0
// Attaching a loaded uprobe program to instructions of a file, in one process, by the best means this kernel has. The
// links are made by the system call itself, since Debian 12's libbpf knows neither multi nor session probes.
#pragma once

#include <cstdint>
#include <vector>

#include "user/handles.h"
#include "user/ids.h"
#include "user/result.h"

namespace alloctrail {

/// The ways to attach, best first.
enum class ProbeKind {
  Session,  ///< one link, the entry decides whether the return is probed (Linux 6.13)
  Multi,    ///< one link for all entries, one for all returns (Linux 6.6)
  Perf,     ///< a perf event for each probe
};

[[nodiscard]] const char* name_of(ProbeKind kind);

/// Values of enum bpf_attach_type that Debian 12's headers do not have.
inline constexpr int kAttachUprobeMulti = 48;
inline constexpr int kAttachUprobeSession = 57;

/// What the program's expected attach type must be at load time to be attached this way.
[[nodiscard]] int expected_attach_type(ProbeKind kind);

/// One place to attach to.
struct ProbePoint {
  uint64_t file_offset = 0;
  uint64_t cookie = 0;
};

/// Entry (or, for sessions, entry and return) probes, or return probes only.
enum class ProbeSide { Entry, Return };

/// A point that the kernel does not take, such as an instruction it cannot probe.
struct RefusedPoint {
  size_t index = 0;  ///< into the points to attach
  Error error;
};

struct AttachedPoints {
  std::vector<UniqueFd> links;  ///< the probes live as long as these
  std::vector<RefusedPoint> refused;
};

/// Attaches `program_fd` at the points of the file open as `file_fd`, for the process that thread `thread` belongs to.
/// A point that the kernel refuses does not keep the others from being attached; an error: it refused all of them.
[[nodiscard]] Result<AttachedPoints> attach_probes(ProbeKind kind, ProbeSide side, int program_fd, int file_fd,
                                                          Tid thread, const std::vector<ProbePoint>& points);

/// The best kind this kernel really attaches, tried with an empty program on a function of our own.
[[nodiscard]] Result<ProbeKind> best_probe_kind();

/// Tries one kind; the error says what the kernel answered.
[[nodiscard]] Status try_probe_kind(ProbeKind kind);

}  // namespace alloctrail
