// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/fault_table.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <tuple>

#include "user/analysis/item_numbers.h"
#include "user/result.h"

namespace alloctrail {
namespace {

/// The sums of one snapshot, by keys that hold across snapshots.
struct Sums {
  using StackKey = std::pair<uint32_t, ResidentKind>;
  using SiteKey = std::tuple<ThreadKey, uint32_t, ResidentKind>;
  Touched total;
  std::map<ResidentKind, Touched> kinds;
  std::map<ThreadKey, Touched> threads;
  std::map<StackKey, Touched> stacks;
  std::map<SiteKey, Touched> sites;
};

/// What of a site the rows need: where it goes.
struct Place {
  ThreadKey thread;
  uint32_t shown_stack = 0;
  uint32_t exact_stack = 0;
};

class Numbering {
 public:
  explicit Numbering(FrameChoice frames) : shown_(frames), exact_(FrameChoice::All) {}

  std::vector<Place> places(const Snapshot& snapshot) {
    const std::vector<ThreadKey> threads = thread_keys(snapshot);
    const std::vector<uint32_t> shown = shown_.number(snapshot);
    const std::vector<uint32_t> exact = exact_.number(snapshot);
    std::vector<Place> places;
    for (const FaultSite& site : snapshot.faults->sites) {
      ALLOCTRAIL_CHECK(site.thread < snapshot.threads.size() && site.stack < snapshot.stacks.size());
      places.push_back({threads[site.thread], shown[site.stack], exact[site.stack]});
    }
    return places;
  }

 private:
  StackNumbers shown_;
  StackNumbers exact_;
};

Touched touched(const Faults& faults, const FaultSite& site) {
  return {faults.faults_of(site), faults.bytes_of(site)};
}

Sums sums_of(const Snapshot& snapshot, const std::vector<Place>& places) {
  Sums sums;
  for (size_t i = 0; i < places.size(); ++i) {
    const FaultSite& site = snapshot.faults->sites[i];
    const Place& place = places[i];
    const Touched amount = touched(*snapshot.faults, site);
    sums.total += amount;
    sums.kinds[site.kind] += amount;
    sums.threads[place.thread] += amount;
    sums.stacks[{place.shown_stack, site.kind}] += amount;
    sums.sites[{place.thread, place.exact_stack, site.kind}] += amount;
  }
  return sums;
}

class FaultViewBuilder {
 public:
  FaultViewBuilder(const Snapshot& now, const Snapshot* previous, const ReportQuery& query) : now_(now), query_(query) {
    Numbering numbering(query.frames);
    has_previous_ = previous != nullptr && previous->faults.has_value();
    if (has_previous_) before_ = sums_of(*previous, numbering.places(*previous));
    places_ = numbering.places(now);
    sums_ = sums_of(now, places_);
    seconds_ = std::chrono::duration<double>(has_previous_ ? now.elapsed - previous->elapsed : now.elapsed).count();
  }

  FaultView build() {
    view_.totals = figures(sums_.total, before_.total);
    for (const auto& [kind, amount] : sums_.kinds)
      view_.kinds.push_back({kind, figures(amount, find(before_.kinds, kind))});
    std::ranges::stable_sort(view_.kinds, {}, [](const TouchKindRow& row) { return ~row.figures.touched.bytes; });
    add_threads();
    add_sites();
    add_stacks();
    view_.accounting = accounting();
    return std::move(view_);
  }

 private:
  template <class Map>
  static Touched find(const Map& map, const typename Map::key_type& key) {
    const auto found = map.find(key);
    return found == map.end() ? Touched{} : found->second;
  }

  TouchFigures figures(Touched amount, Touched before) const {
    TouchFigures result;
    result.touched = amount;
    // Less than before: the pages of a range were found to be smaller than they were.
    const uint64_t more = amount.bytes > before.bytes ? amount.bytes - before.bytes : 0;
    if (has_previous_) result.change_bytes = static_cast<int64_t>(amount.bytes - before.bytes);
    if (seconds_ > 0) result.bytes_per_s = static_cast<double>(more) / seconds_;
    if (sums_.total.bytes > 0)
      result.share = static_cast<double>(amount.bytes) / static_cast<double>(sums_.total.bytes);
    return result;
  }

  [[nodiscard]] bool wanted(uint32_t thread) const {
    return !query_.only_tid || now_.threads[thread].tid == *query_.only_tid;
  }

  void add_threads() {
    std::map<uint32_t, Touched> by_thread;
    std::map<uint32_t, ThreadKey> keys;
    for (size_t i = 0; i < places_.size(); ++i) {
      const FaultSite& site = now_.faults->sites[i];
      if (!wanted(site.thread)) continue;
      by_thread[site.thread] += touched(*now_.faults, site);
      keys[site.thread] = places_[i].thread;
    }
    for (const auto& [thread, amount] : by_thread)
      view_.threads.rows.push_back({thread, figures(amount, find(before_.threads, keys[thread]))});
    finish(view_.threads);
  }

  void add_sites() {
    for (size_t i = 0; i < places_.size(); ++i) {
      const FaultSite& site = now_.faults->sites[i];
      const Sums::SiteKey key{places_[i].thread, places_[i].exact_stack, site.kind};
      if (wanted(site.thread))
        view_.sites.rows.push_back(
            {site.thread, site.stack, site.kind, figures(touched(*now_.faults, site), find(before_.sites, key))});
    }
    finish(view_.sites);
  }

  struct Merged {
    uint32_t stack = 0;
    Touched amount;
    std::map<uint32_t, uint64_t> holders;  // bytes by thread
  };

  void add_stacks() {
    std::map<Sums::StackKey, Merged> merged;
    for (size_t i = 0; i < places_.size(); ++i) {
      const FaultSite& site = now_.faults->sites[i];
      if (!wanted(site.thread)) continue;
      const Touched amount = touched(*now_.faults, site);
      Merged& one = merged.try_emplace({places_[i].shown_stack, site.kind}, Merged{site.stack, {}, {}}).first->second;
      one.amount += amount;
      one.holders[site.thread] += amount.bytes;
    }
    for (const auto& [key, one] : merged) {
      const auto top = std::ranges::max_element(one.holders, {}, [](const auto& holder) { return holder.second; });
      view_.stacks.rows.push_back({.stack = one.stack,
                                   .kind = key.second,
                                   .holders = static_cast<uint32_t>(one.holders.size()),
                                   .top_holder = top->first,
                                   .figures = figures(one.amount, find(before_.stacks, key))});
    }
    finish(view_.stacks);
  }

  template <class Row>
  void finish(TouchTable<Row>& table) {
    std::ranges::stable_sort(table.rows, {}, [](const Row& row) { return ~row.figures.touched.bytes; });
    const size_t keep = std::min(query_.top.value_or(table.rows.size()), table.rows.size());
    table.left_out_rows = table.rows.size() - keep;
    for (size_t i = keep; i < table.rows.size(); ++i) table.left_out += table.rows[i].figures.touched;
    table.rows.resize(keep);
  }

  /// A thread's faults since its last sample are fewer than the interval; a sample that is missing stands for all of
  /// them.
  FaultAccounting accounting() const {
    const Faults& faults = *now_.faults;
    FaultAccounting result;
    result.counted = faults.counted;
    result.sampled = faults.counters.sampled;
    result.lost = faults.counters.lost_state + faults.counters.lost_site_full;
    for (const FaultSite& site : faults.sites) result.in_sites += site.samples;
    const uint64_t threads = now_.threads.size() + now_.process.memory.threads;
    const uint64_t explained = result.sampled * faults.interval + threads * (faults.interval - 1);
    const uint64_t unexplained = faults.counted > explained ? faults.counted - explained : 0;
    result.missed = faults.interval == 1 ? unexplained : unexplained / faults.interval;
    const uint64_t rest = faults.counted > result.sampled ? faults.counted - result.sampled : 0;
    result.unsampled = rest - std::min(rest, result.missed);
    return result;
  }

  const Snapshot& now_;
  const ReportQuery& query_;
  FaultView view_;
  bool has_previous_ = false;
  Sums before_;
  std::vector<Place> places_;
  Sums sums_;
  double seconds_ = 0;
};

}  // namespace

FaultView fault_view(const Snapshot& now, const Snapshot* previous, const ReportQuery& query) {
  ALLOCTRAIL_CHECK(now.faults);
  return FaultViewBuilder(now, previous, query).build();
}

const char* name_of(ResidentKind kind) {
  switch (kind) {
    case ResidentKind::BrkHeap:
      return "heap";
    case ResidentKind::Arena:
      return "arenas";
    case ResidentKind::NamedAllocator:
      return "named_allocator";
    case ResidentKind::ThreadStack:
      return "thread_stacks";
    case ResidentKind::MainStack:
      return "main_stack";
    case ResidentKind::OtherAnonymous:
      return "other_anonymous";
    case ResidentKind::File:
      return "file";
    case ResidentKind::Shared:
      return "shared";
    case ResidentKind::Special:
      return "special";
    case ResidentKind::Unknown:
      break;
  }
  return "unknown";
}

}  // namespace alloctrail
