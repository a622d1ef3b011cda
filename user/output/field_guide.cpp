// SPDX-License-Identifier: Apache-2.0
// The kernel's figures: Documentation/filesystems/proc.rst, fs/proc/task_mmu.c.
#include "user/output/field_guide.h"

#include <strings.h>

#include <algorithm>

namespace alloctrail {
namespace {

constexpr FieldEntry kGuide[] = {
    {"VmPeak", "The largest VmSize there ever was.", "It never falls, so it says nothing of a leak."},
    {"VmSize", "Address space: every mapped range, touched or not.",
     "Programs reserve address space freely; growth matters only where VmRSS or VmSwap grows with it."},
    {"VmLck", "Memory locked into RAM (mlock).", "It cannot be swapped out and is part of VmRSS once touched."},
    {"VmPin", "Pages that devices or io_uring hold in place.",
     "Its growth points to buffers that are registered and not released."},
    {"VmHWM", "The largest VmRSS there ever was.", "A peak far above VmRSS tells of a burst that is over."},
    {"VmRSS", "Memory in RAM now: RssAnon + RssFile + RssShmem.",
     "What fills up hosts and cgroups. If it grows, see which of the three does; file pages can be taken back."},
    {"RssAnon",
     "Resident memory of the process's own: heap, stacks, anonymous maps, written pages of private file maps.",
     "Leaks of malloc, new and mmap show here: alloctrail report -p PID names the code."},
    {"RssFile", "Resident pages of mapped files: code, libraries, data files.",
     "The kernel takes clean ones back when it needs memory; growth is rarely a leak."},
    {"RssShmem", "Resident shared memory: memfd, tmpfs, SysV segments, shared anonymous maps.",
     "It survives the process if a file or segment stays; it is charged to whoever touched it first."},
    {"VmData", "Address space that is private and writable: heap, anonymous maps, data of libraries, thread stacks.",
     "It counts what was mapped, not what was touched: it grows before VmRSS does. 8 MiB for each new thread is its "
     "stack."},
    {"VmStk", "The main thread's stack, mapped. Stacks of other threads are in VmData.",
     "It grows with deep recursion and large local arrays, and never shrinks."},
    {"VmExe", "The program's own code, mapped.", "Constant in a running program."},
    {"VmLib", "Code of shared libraries, mapped.", "It grows where plugins are loaded and not unloaded (dlopen)."},
    {"VmPTE", "Page tables of the process: kernel memory that VmRSS does not contain.",
     "About 2 MiB for each GiB touched in small pages; large with sparse address space, and charged to the cgroup."},
    {"VmSwap", "Anonymous memory that was moved to swap.",
     "VmRSS + VmSwap is what to watch: a leak on a full host grows here."},
    {"HugetlbPages", "Memory in hugetlbfs pages, which VmRSS leaves out.",
     "It comes from a pool set aside at boot or by the administrator."},
    {"Threads", "Threads of the process.",
     "Steady growth is a leak of threads; each holds its stack and allocator caches."},
    {"Pss", "VmRSS with each shared page divided by the number of processes that map it.",
     "The sum over all processes is true; VmRSS counts shared pages once for each."},
    {"live_blocks",
     "Blocks allocated since the attach and not freed: bytes as requested, as far as they fit into the allocator's "
     "memory.",
     "An estimate of resident bytes: a block need not have been touched yet."},
    {"allocator_other",
     "The allocator's resident memory without live_blocks: rounding, headers, memory freed by the program and kept, "
     "and blocks older than the attach.",
     "If it grows while live_blocks does not, it is fragmentation or caching; malloc_trim(0) gives the free part "
     "back."},
    {"thread_stacks", "Resident stacks of threads, with those glibc keeps from threads that ended.",
     "Grows with the number of threads, or with their depth."},
    {"main_stack", "Resident stack of the main thread.", "Pages that were touched once stay."},
    {"other_anonymous",
     "Anonymous maps that carry no sign of an allocator: the program's own mmap, JIT code, garbage-collected heaps, "
     "large malloc blocks from before the attach, allocators other than glibc's.",
     "If it grows and live_blocks does not, something calls mmap itself."},
    {"file", "Resident pages of file maps, also their written private copies (data of libraries).",
     "Clean pages are taken back when memory is short."},
    {"shared", "Resident pages of shared memory.", "Divide by the processes that share it, or see Pss."},
    {"special", "Pages the kernel maps into every process: vdso, vvar.", "A few KiB, constant."},
    {"touched", "Memory touched for the first time since the attach, by page faults (report --growth).",
     "Touched is not kept: what was given back counts again when it is touched again. If it grows with VmRSS, its stacks "
     "are where the growth comes from."},
    {"unexplained", "VmRSS minus all parts of the balance.",
     "The two are read a moment apart, so a busy process shows a little."},
    {"reserved", "Address space mapped without any access (PROT_NONE): guard pages, room for arenas to grow.",
     "It costs no memory."},
    {"mapped_bytes", "Address space mapped since the attach by mmap, brk, mremap and shmat.",
     "mapped = standing + unmapped. Each range that stands is listed under the thread and stack that mapped it."},
    {"unmapped_bytes", "What of mapped_bytes is gone: munmap, brk, mremap, shmdt, or mapped over (MAP_FIXED).",
     "If it keeps up with mapped_bytes, nothing leaks here."},
    {"given_back_bytes",
     "Bytes of ranges whose pages the program gave back with madvise (DONTNEED, FREE, REMOVE); the ranges stand on.",
     "Allocators purge this way: VmRSS falls and VmSize does not. The same pages may be given back again and again."},
    {"before_attach", "A range that was there when alloctrail came; who mapped it is not known.",
     "Start alloctrail earlier, or start the program with it, to know."},
    {"found", "A range that appeared in /proc/PID/maps and no system call told of it.",
     "It comes with lost records, or with calls that do not say what they did; their number is in the report."},
    {"missing_bytes", "Address space that /proc/PID/maps shows and the system calls seen do not explain.",
     "It is put right at once, and counted; at a quiet moment it should be zero."},
    {"excess_bytes", "Address space that the system calls seen should have left mapped, and /proc/PID/maps does not show.",
     "It is put right at once, and counted; at a quiet moment it should be zero."},
    {"room",
     "Bytes until the nearest limit: of a memory cgroup around the process or of the host, page cache counted as free, "
     "swap included.",
     "At zero the OOM killer comes."},
};

}  // namespace

std::span<const FieldEntry> field_guide() {
  return kGuide;
}

const FieldEntry* find_field(std::string_view name) {
  const auto same = [&](const FieldEntry& entry) {
    return entry.name.size() == name.size() && strncasecmp(entry.name.data(), name.data(), name.size()) == 0;
  };
  const auto found = std::ranges::find_if(kGuide, same);
  return found == std::end(kGuide) ? nullptr : &*found;
}

}  // namespace alloctrail
