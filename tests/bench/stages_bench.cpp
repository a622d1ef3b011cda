// SPDX-License-Identifier: Apache-2.0
// The stages behind the kernel, each alone: planning probes, compiling unwind tables, ranking and writing a report.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "user/analysis/report_table.h"
#include "user/elf/probe_plan.h"
#include "user/elf/unwind_cache.h"
#include "user/elf/unwind_rows.h"
#include "user/handles.h"
#include "user/output/report_json.h"
#include "user/output/report_text.h"

namespace alloctrail {
namespace {

constexpr const char* kLibc = "/usr/lib/x86_64-linux-gnu/libc.so.6";

/// `sites` sites of 17 frames, most of them shared, as a busy server's are.
Snapshot sample(int64_t sites) {
  Snapshot snapshot;
  snapshot.elapsed = std::chrono::seconds(10);
  std::vector<Frames::Shared> common;
  for (uint64_t i = 0; i < 16; ++i)
    common.push_back(std::make_shared<const Frame>(Frame{.address = Addr{0x401000 + 64 * i},
                                                         .function = fmt::format("service::layer{}::call(int)", i),
                                                         .module = "/usr/bin/service",
                                                         .module_offset = 64 * i,
                                                         .file = "/src/service/layer.cpp",
                                                         .line = static_cast<uint32_t>(i)}));
  snapshot.threads.push_back({.tid = Tid{1}, .name = "worker", .alive = true, .allocated = {}, .freed = {}, .older = {}});
  for (int64_t i = 0; i < sites; ++i) {
    std::vector<Frames::Shared> frames = common;
    Frame own = *common.front();
    own.line = static_cast<uint32_t>(i);
    frames.insert(frames.begin(), std::make_shared<const Frame>(own));
    const auto bytes = static_cast<uint64_t>(i);
    snapshot.sites.push_back(
        {.thread = 0, .stack = static_cast<uint32_t>(i), .allocated = {bytes, 1}, .freed = {}, .older = {}});
    snapshot.stacks.push_back({.frames = Frames(std::move(frames)), .status = AT_STACK_complete});
  }
  return snapshot;
}

void plan_probes_of_libc(benchmark::State& state) {
  const UniqueFd file(open(kLibc, O_RDONLY | O_CLOEXEC));
  for (auto _ : state) benchmark::DoNotOptimize(plan_probes(file.get(), kLibc));
}

void compile_unwind_table_of_libc(benchmark::State& state) {
  const UniqueFd file(open(kLibc, O_RDONLY | O_CLOEXEC));
  for (auto _ : state) benchmark::DoNotOptimize(compile_unwind_table(file.get(), kLibc));
}

/// The largest libraries that a machine with compilers has, as far as they are installed.
constexpr const char* kLargeLibraries[] = {"/usr/lib/x86_64-linux-gnu/libLLVM.so.19.1",
                                           "/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1"};

void compile_unwind_table_of(benchmark::State& state, const char* path) {
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  for (auto _ : state) benchmark::DoNotOptimize(compile_unwind_table(file.get(), path));
}

/// The cache is the user's own: its first reading makes the entry.
void unwind_table_from_cache(benchmark::State& state, const char* path) {
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  const UnwindCache cache;
  benchmark::DoNotOptimize(cache.table_of(file.get(), path));
  for (auto _ : state) benchmark::DoNotOptimize(cache.table_of(file.get(), path));
}

/// Benchmarks of files that may not be there.
void register_large_libraries() {
  for (const char* path : kLargeLibraries) {
    if (access(path, R_OK) != 0) continue;
    benchmark::RegisterBenchmark(fmt::format("compile_unwind_table_of {}", path).c_str(), compile_unwind_table_of, path)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(fmt::format("unwind_table_from_cache {}", path).c_str(), unwind_table_from_cache, path)
        ->Unit(benchmark::kMillisecond);
  }
}

void rank_and_write_text(benchmark::State& state) {
  const Snapshot snapshot = sample(state.range(0));
  const ReportQuery query{.top = 10, .only_tid = {}, .frames = FrameChoice::Callers};
  for (auto _ : state)
    benchmark::DoNotOptimize(report_text(snapshot, report_view(snapshot, &snapshot, query), ReportStyle{}));
}

void rank_and_write_json(benchmark::State& state) {
  const Snapshot snapshot = sample(state.range(0));
  const ReportQuery query{.top = {}, .only_tid = {}, .frames = FrameChoice::All};
  for (auto _ : state) benchmark::DoNotOptimize(report_json(snapshot, report_view(snapshot, nullptr, query)));
}

BENCHMARK(plan_probes_of_libc)->Unit(benchmark::kMillisecond);
BENCHMARK(compile_unwind_table_of_libc)->Unit(benchmark::kMillisecond);
BENCHMARK(rank_and_write_text)->Arg(100)->Arg(10'000)->Unit(benchmark::kMillisecond);
BENCHMARK(rank_and_write_json)->Arg(100)->Arg(10'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace alloctrail

int main(int argc, char** argv) {
  alloctrail::register_large_libraries();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
