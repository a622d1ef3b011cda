// SPDX-License-Identifier: Apache-2.0
#include "user/symbols/confinement.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string_view>
#include <vector>

#include "user/handles.h"

namespace alloctrail {
namespace {

enum : Confinement { kOtherUser = 1, kNoCapabilities = 2, kNoNewPrivileges = 4, kFiltered = 8, kLimited = 16 };

constexpr std::array<ConfinementStep, 5> kSteps{{
    {kOtherUser, "user", "runs as nobody, in no group"},
    {kNoCapabilities, "capabilities", "has none"},
    {kNoNewPrivileges, "privileges", "cannot gain any"},
    {kFiltered, "system calls", "only to compute, to map descriptors it is given and to answer: no files, no network"},
    {kLimited, "limits", "memory, processor time, no processes, no file growth"},
}};

constexpr uid_t kNobody = 65534;
constexpr rlim_t kMaxCpuSeconds = 600;
constexpr rlim_t kMaxFiles = 32;
constexpr rlim_t kMaxAddressSpaceBytes = 64ULL << 30;  // debug files are mapped whole
constexpr std::string_view kOomScoreAdjustment = "0";

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kIsSanitized = true;  // needs terabytes of shadow, and pipes to probe memory with
#else
constexpr bool kIsSanitized = false;
#endif

bool limit(__rlimit_resource resource, rlim_t value) {
  const rlimit both{value, value};
  return ::setrlimit(resource, &both) == 0;
}

bool limit_resources(uint64_t memory_bytes) {
  bool done = limit(RLIMIT_CPU, kMaxCpuSeconds) && limit(RLIMIT_NOFILE, kMaxFiles) && limit(RLIMIT_FSIZE, 0) &&
              limit(RLIMIT_NPROC, 0) && limit(RLIMIT_CORE, 0);
  if (!kIsSanitized) done = done && limit(RLIMIT_DATA, memory_bytes) && limit(RLIMIT_AS, kMaxAddressSpaceBytes);
  return done;
}

bool become_nobody() {
  if (::setgroups(0, nullptr) != 0) return false;
  return ::setresgid(kNobody, kNobody, kNobody) == 0 && ::setresuid(kNobody, kNobody, kNobody) == 0;
}

bool drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, 2> none{};
  return ::syscall(SYS_capset, &header, none.data()) == 0;
}

/// Everything that is not listed fails with EPERM.
constexpr std::array kAllowedCalls{
    SYS_read,         SYS_pread64, SYS_write,    SYS_writev,     SYS_close,         SYS_fstat,   SYS_newfstatat,
    SYS_recvmsg,      SYS_sendmsg, SYS_munmap,   SYS_mremap,     SYS_brk,           SYS_madvise, SYS_futex,
    SYS_clock_gettime, SYS_getpid, SYS_gettid,   SYS_tgkill,     SYS_rt_sigprocmask, SYS_rt_sigreturn,
    SYS_rt_sigaction, SYS_exit,    SYS_exit_group, SYS_getrandom, SYS_restart_syscall, SYS_sched_yield,
};

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "unknown architecture"
#endif

sock_filter load(size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
sock_filter verdict(uint32_t value) { return BPF_STMT(BPF_RET | BPF_K, value); }

/// Memory can be mapped, but not to be executed.
void allow_without_execution(std::vector<sock_filter>& filter, uint32_t call) {
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4));
  filter.push_back(load(offsetof(seccomp_data, args[2])));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1));
  filter.push_back(verdict(SECCOMP_RET_ERRNO | EPERM));
  filter.push_back(verdict(SECCOMP_RET_ALLOW));
}

bool filter_calls() {
  std::vector<sock_filter> filter{load(offsetof(seccomp_data, arch)),
                                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
                                  verdict(SECCOMP_RET_KILL_PROCESS), load(offsetof(seccomp_data, nr))};
  for (const long call : kAllowedCalls) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
    filter.push_back(verdict(SECCOMP_RET_ALLOW));
  }
  allow_without_execution(filter, SYS_mmap);
  allow_without_execution(filter, SYS_mprotect);
  filter.push_back(verdict(SECCOMP_RET_ERRNO | EPERM));
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// The program that it works for may be spared by the OOM killer; this process is not, and is not preferred either: in a
/// small cgroup it would be taken in the place of the one that fills it.
void be_as_killable_as_others() {
  const UniqueFd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (file) (void)!::write(file.get(), kOomScoreAdjustment.data(), kOomScoreAdjustment.size());
}

}  // namespace

std::span<const ConfinementStep> confinement_steps() {
  return kSteps;
}

Confinement confine(uint64_t memory_bytes) {
  be_as_killable_as_others();
  Confinement done = 0;
  if (limit_resources(memory_bytes)) done |= kLimited;
  if (become_nobody()) done |= kOtherUser;
  if (drop_capabilities()) done |= kNoCapabilities;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) done |= kNoNewPrivileges;
  ::prctl(PR_SET_DUMPABLE, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of the user forgets it
  if (!kIsSanitized && filter_calls()) done |= kFiltered;
  return done;
}

}  // namespace alloctrail
