// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/report_table.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "user/analysis/allocator_frames.h"
#include "user/analysis/item_numbers.h"

namespace alloctrail {
namespace {

template <class Part>
Usage usage_of(const Part& part) {
  return {part.allocated, part.freed, part.older, part.sampled};
}

bool is_wanted(const Thread& thread, const ReportQuery& query) {
  return !query.only_tid || thread.tid == *query.only_tid;
}

// What the report before knew, by keys that hold across snapshots.
struct Before {
  using SiteKey = std::pair<ThreadKey, uint32_t>;
  Usage total;
  std::map<ThreadKey, Usage> threads;
  std::map<uint32_t, Usage> stacks;  // of the wanted threads
  std::map<SiteKey, Usage> sites;
};

Before summarize(const Snapshot& snapshot, const ReportQuery& query, StackNumbers& shown, StackNumbers& exact) {
  Before before;
  const std::vector<ThreadKey> keys = thread_keys(snapshot);
  const std::vector<uint32_t> shown_stacks = shown.number(snapshot);
  const std::vector<uint32_t> exact_stacks = exact.number(snapshot);
  for (size_t i = 0; i < keys.size(); ++i) before.threads[keys[i]] = usage_of(snapshot.threads[i]);
  for (const Site& site : snapshot.sites) {
    const Usage usage = usage_of(site);
    before.total += usage;
    if (is_wanted(snapshot.threads[site.thread], query)) before.stacks[shown_stacks[site.stack]] += usage;
    before.sites[{keys[site.thread], exact_stacks[site.stack]}] += usage;
  }
  return before;
}

double per_second(uint64_t now, uint64_t before, double seconds) {
  return seconds > 0 && now > before ? static_cast<double>(now - before) / seconds : 0;
}

Rate rate(Amount now, Amount before, double seconds) {
  return {per_second(now.bytes, before.bytes, seconds), per_second(now.blocks, before.blocks, seconds)};
}

template <class Map, class Key>
Usage find_or_nothing(const Map& map, const Key& key) {
  const auto found = map.find(key);
  return found == map.end() ? Usage{} : found->second;
}

class ViewBuilder {
 public:
  ViewBuilder(const Snapshot& now, const Snapshot* previous, const ReportQuery& query)
      : now_(now), query_(query) {
    StackNumbers shown(query.frames);
    StackNumbers exact(FrameChoice::All);
    const bool usable =
        previous != nullptr && previous->process.pid == now.process.pid && previous->elapsed <= now.elapsed;
    view_.has_previous = usable;
    view_.ranking = now.older_than ? Ranking::Older : Ranking::Outstanding;
    view_.only_tid = query.only_tid;
    view_.frames = query.frames;
    if (usable) {
      previous_ = previous;
      before_ = summarize(*previous, query, shown, exact);
    }
    const auto since = usable ? now.elapsed - previous->elapsed : now.elapsed;
    seconds_ = std::chrono::duration<double>(since).count();
    shown_stacks_ = shown.number(now);
    exact_stacks_ = exact.number(now);
    thread_keys_ = thread_keys(now);
  }

  ReportView build() {
    check_indices();
    view_.accounting = accounting(now_);
    view_.balance = balance(now_);
    view_.mapped = mapped_view(now_, query_.only_tid);
    view_.top = query_.top;
    if (now_.faults) view_.faults = fault_view(now_, previous_, query_);
    add_totals();
    add_threads();
    add_sites();
    add_stacks();
    if (query_.stacks == StackLayout::Tree) add_call_tree();
    return std::move(view_);
  }

 private:
  void check_indices() const {
    for (const Site& site : now_.sites) {
      ALLOCTRAIL_CHECK(site.thread < now_.threads.size() && site.stack < now_.stacks.size());
    }
  }

  Figures figures(const Usage& usage, const Usage& before) const {
    Figures result;
    result.usage = usage;
    if (view_.has_previous) result.change = change(usage.outstanding(), before.outstanding());
    result.allocation = rate(usage.allocated, before.allocated, seconds_);
    result.release = rate(usage.freed, before.freed, seconds_);
    if (total_ranked_ > 0) {
      result.share = static_cast<double>(view_.ranked(usage).bytes) / static_cast<double>(total_ranked_);
    }
    // What never had a sample is known in full.
    if (now_.sampling)
      result.intervals = intervals(usage, usage.sampled.allocated.samples > 0 ? now_.sampling->highest_rate_bytes : 0);
    return result;
  }

  static UsageIntervals intervals(const Usage& usage, uint64_t unseen) {
    const auto of = [&](Amount amount, const SampledPart& part) { return interval_of(amount, part, unseen); };
    return {.outstanding = of(usage.outstanding(), usage.sampled.outstanding()),
            .allocated = of(usage.allocated, usage.sampled.allocated),
            .freed = of(usage.freed, usage.sampled.freed),
            .older = of(usage.older, usage.sampled.older)};
  }

  bool wanted(uint32_t thread) const { return is_wanted(now_.threads[thread], query_); }

  uint32_t first_frame(uint32_t stack) const {
    if (query_.frames == FrameChoice::All) return 0;
    return static_cast<uint32_t>(allocator_frame_count(now_.stacks[stack]));
  }

  void add_totals() {
    Usage total;
    for (const Site& site : now_.sites) total += usage_of(site);
    total_ranked_ = view_.ranked(total).bytes;
    view_.totals = figures(total, before_.total);
    // Of the process as a whole something may exist although nothing of it was drawn yet.
    if (now_.sampling && now_.counters.sampled_out_calls != 0)
      view_.totals.intervals = intervals(total, now_.sampling->highest_rate_bytes);
  }

  void add_threads() {
    for (uint32_t i = 0; i < now_.threads.size(); ++i) {
      if (!wanted(i)) continue;
      const Usage before = find_or_nothing(before_.threads, thread_keys_[i]);
      view_.threads.rows.push_back({i, figures(usage_of(now_.threads[i]), before)});
    }
    finish(view_.threads,
           [this](const ThreadRow& row) { return std::tuple(raw(now_.threads[row.thread].tid), row.thread); });
  }

  void add_sites() {
    for (const Site& site : now_.sites) {
      if (!wanted(site.thread)) continue;
      const Before::SiteKey key{thread_keys_[site.thread], exact_stacks_[site.stack]};
      const Figures row = figures(usage_of(site), find_or_nothing(before_.sites, key));
      view_.sites.rows.push_back({site.thread, site.stack, first_frame(site.stack), row});
    }
    finish(view_.sites,
           [this](const SiteRow& row) { return std::tuple(raw(now_.threads[row.thread].tid), row.thread, row.stack); });
  }

  struct Merged {
    uint32_t stack = 0;  // the first of the equal ones
    Usage usage;
    std::map<uint32_t, Amount> holders;  // ranked amounts by thread
  };

  void add_stacks() {
    std::unordered_map<uint32_t, Merged> merged;
    for (const Site& site : now_.sites) {
      if (!wanted(site.thread)) continue;
      const uint32_t number = shown_stacks_[site.stack];
      Merged& one = merged.try_emplace(number, Merged{site.stack, {}, {}}).first->second;
      const Usage usage = usage_of(site);
      one.stack = std::min(one.stack, site.stack);
      one.usage += usage;
      const Amount held = view_.ranked(usage);
      if (held.blocks > 0) one.holders[site.thread] += held;
    }
    for (const auto& [number, one] : merged) {
      if (!one.holders.empty()) view_.stacks.rows.push_back(stack_row(number, one));
    }
    finish(view_.stacks, [](const StackRow& row) { return row.stack; });
  }

  HeldStacks held_stacks(const Snapshot& snapshot) const {
    HeldStacks held{snapshot.stacks, std::vector<Amount>(snapshot.stacks.size())};
    for (const Site& site : snapshot.sites)
      if (is_wanted(snapshot.threads[site.thread], query_)) held.amounts[site.stack] += view_.ranked(usage_of(site));
    return held;
  }

  void add_call_tree() {
    std::optional<HeldStacks> before;
    if (previous_ != nullptr) before.emplace(held_stacks(*previous_));
    view_.call_tree = call_tree(held_stacks(now_), before ? &*before : nullptr, query_.frames, query_.top);
  }

  // Sorts as "largest first, then smallest id first".
  template <class Id>
  static auto rank_of(Amount amount, Id id) {
    return std::tuple(~amount.bytes, ~amount.blocks, id);
  }

  StackRow stack_row(uint32_t number, const Merged& one) const {
    StackRow row;
    row.stack = one.stack;
    row.first_frame = first_frame(one.stack);
    row.holders = static_cast<uint32_t>(one.holders.size());
    row.top_holder =
        std::max_element(one.holders.begin(), one.holders.end(), [this](const auto& a, const auto& b) {
          return rank_of(a.second, now_.threads[a.first].tid) > rank_of(b.second, now_.threads[b.first].tid);
        })->first;
    row.figures = figures(one.usage, find_or_nothing(before_.stacks, number));
    return row;
  }

  template <class Row, class TieBreak>
  void finish(Table<Row>& table, TieBreak tie_break) {
    std::sort(table.rows.begin(), table.rows.end(), [&](const Row& a, const Row& b) {
      return rank_of(view_.ranked(a.figures.usage), tie_break(a)) <
             rank_of(view_.ranked(b.figures.usage), tie_break(b));
    });
    const size_t keep = std::min(query_.top.value_or(table.rows.size()), table.rows.size());
    table.left_out_rows = table.rows.size() - keep;
    for (size_t i = keep; i < table.rows.size(); ++i) table.left_out += view_.ranked(table.rows[i].figures.usage);
    table.rows.resize(keep);
  }

  const Snapshot& now_;
  const Snapshot* previous_ = nullptr;  // none, or one that can be compared with
  const ReportQuery& query_;
  ReportView view_;
  Before before_;
  std::vector<uint32_t> shown_stacks_;  // by stack: its number among those that look different
  std::vector<uint32_t> exact_stacks_;  // by stack: its number among those that are different
  std::vector<ThreadKey> thread_keys_;
  double seconds_ = 0;
  uint64_t total_ranked_ = 0;
};

}  // namespace

ReportView report_view(const Snapshot& now, const Snapshot* previous, const ReportQuery& query) {
  return ViewBuilder(now, previous, query).build();
}

}  // namespace alloctrail
