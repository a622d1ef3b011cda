// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/history.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

namespace alloctrail {
namespace {

double per_second(uint64_t now, uint64_t before, double seconds) {
  return seconds > 0 && now > before ? static_cast<double>(now - before) / seconds : 0;
}

Rate rate(Amount now, Amount before, double seconds) {
  return {per_second(now.bytes, before.bytes, seconds), per_second(now.blocks, before.blocks, seconds)};
}

template <class Part>
Usage usage_of(const Part& part) {
  return {part.allocated, part.freed, part.older};
}

uint64_t site_key(uint32_t thread, uint32_t stack) {
  return uint64_t{thread} << 32 | stack;
}

}  // namespace

void History::place_threads(const Snapshot& snapshot, Picture& picture) {
  threads_.clear();
  for (const ThreadKey& key : thread_keys(snapshot))
    threads_.push_back(thread_numbers_.try_emplace(key, static_cast<uint32_t>(thread_numbers_.size())).first->second);
  picture.threads.resize(thread_numbers_.size());
  for (uint32_t i = 0; i < threads_.size(); ++i) {
    ThreadEntry& entry = picture.threads[threads_[i]];
    entry.thread = i;
    entry.activity.usage = usage_of(snapshot.threads[i]);
  }
}

void History::place_stacks(const Snapshot& snapshot, Picture& picture) {
  stacks_ = stack_numbers_.number(snapshot);
  for (const uint32_t number : stacks_) stack_count_ = std::max(stack_count_, size_t{number} + 1);
  picture.stacks.resize(stack_count_);
  for (uint32_t i = 0; i < stacks_.size(); ++i) {
    StackEntry& entry = picture.stacks[stacks_[i]];
    if (entry.stack == kAbsent) entry.stack = i;
  }
}

void History::place_sites(const Snapshot& snapshot, Picture& picture) {
  picture.sites.reserve(site_numbers_.size());
  if (latest_)
    for (const SiteEntry& entry : latest_->sites) picture.sites.push_back({entry.thread, entry.stack, {}});
  for (const Site& site : snapshot.sites) {
    ALLOCTRAIL_CHECK(site.thread < threads_.size() && site.stack < stacks_.size());
    const uint32_t thread = threads_[site.thread], stack = stacks_[site.stack];
    const auto next = static_cast<uint32_t>(picture.sites.size());
    const auto [number, is_new] = site_numbers_.try_emplace(site_key(thread, stack), next);
    if (is_new) picture.sites.push_back({thread, stack, {}});
    picture.sites[number->second].activity.usage += usage_of(site);
    picture.stacks[stack].activity.usage += usage_of(site);
    picture.total.usage += usage_of(site);
  }
  std::vector<uint64_t> most(picture.stacks.size(), 0);
  for (const SiteEntry& site : picture.sites) {
    const Amount held = site.activity.usage.outstanding();
    if (held.blocks == 0) continue;
    StackEntry& entry = picture.stacks[site.stack];
    if (entry.holders++ == 0 || held.bytes > most[site.stack]) {
      entry.top_holder = site.thread;
      most[site.stack] = held.bytes;
    }
  }
}

std::shared_ptr<const Course> History::follow(Followed& followed, double at_s, uint64_t bytes) {
  followed.series.add({at_s, static_cast<double>(bytes)});
  const auto floors = followed.series.floors();
  if (floors.size() != followed.floors_seen) {
    const bool steady = std::ranges::all_of(floors, [&](const Sample& one) { return one.value == floors[0].value; });
    // A median of equal slopes is known without them; the interval of an item that never moved is that point.
    followed.growth = trend(steady ? floors.last(std::min<size_t>(floors.size(), 6)) : floors);
    followed.floors_seen = floors.size();
  }
  auto course = std::make_shared<Course>();
  course->values.reserve(floors.size() + 1);
  for (const Sample& floor : floors) course->values.push_back(floor.value);
  course->values.push_back(static_cast<double>(bytes));
  course->growth = followed.growth;
  return course;
}

/// An item that falls behind is forgotten once twice as many are followed as need be, so that neighbours in rank do not
/// lose their past in turns.
template <class Entry>
void History::follow_largest(std::vector<Entry>& entries, Following& following) const {
  std::vector<uint32_t> order(entries.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto bytes = [&](uint32_t i) { return entries[i].activity.usage.outstanding().bytes; };
  const size_t keep = std::min(kFollowed, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(keep), order.end(),
                    [&](uint32_t a, uint32_t b) { return std::pair(~bytes(a), a) < std::pair(~bytes(b), b); });
  order.resize(keep);
  for (const uint32_t i : order) following.try_emplace(i);
  if (following.size() > 2 * kFollowed) {
    std::ranges::sort(order);
    std::erase_if(following, [&](const auto& one) { return !std::ranges::binary_search(order, one.first); });
  }
  for (auto& [i, followed] : following) entries[i].activity.course = follow(followed, at_s_, bytes(i));
}

void History::set_rate(Activity& now, const Activity* before) const {
  const Usage none;
  const Usage& then = before == nullptr ? none : before->usage;
  now.allocation = rate(now.usage.allocated, then.allocated, passed_s_);
  now.release = rate(now.usage.freed, then.freed, passed_s_);
}

template <class Entry>
void History::set_rates(std::vector<Entry>& entries, const std::vector<Entry>* before) const {
  for (size_t i = 0; i < entries.size(); ++i)
    set_rate(entries[i].activity, before != nullptr && i < before->size() ? &(*before)[i].activity : nullptr);
}

std::shared_ptr<const Picture> History::add(std::shared_ptr<const Snapshot> snapshot) {
  const double before_s = at_s_;
  at_s_ = std::chrono::duration<double>(snapshot->elapsed).count();
  passed_s_ = latest_ ? at_s_ - before_s : at_s_;
  auto picture = std::make_shared<Picture>();
  place_threads(*snapshot, *picture);
  place_stacks(*snapshot, *picture);
  place_sites(*snapshot, *picture);
  set_rate(picture->total, latest_ ? &latest_->total : nullptr);
  set_rates(picture->threads, latest_ ? &latest_->threads : nullptr);
  set_rates(picture->stacks, latest_ ? &latest_->stacks : nullptr);
  set_rates(picture->sites, latest_ ? &latest_->sites : nullptr);
  const uint64_t outstanding = picture->total.usage.outstanding().bytes;
  picture->total.course = follow(total_, at_s_, outstanding);
  follow_largest(picture->threads, followed_threads_);
  follow_largest(picture->stacks, followed_stacks_);
  follow_largest(picture->sites, followed_sites_);
  picture->peak_bytes = std::max(outstanding, latest_ ? latest_->peak_bytes : 0);
  picture->accounting = accounting(*snapshot);
  picture->balance = balance(*snapshot);
  limits_.add(*snapshot);
  picture->limit = limits_.view(*snapshot);
  picture->snapshot = std::move(snapshot);
  latest_ = picture;
  return picture;
}

}  // namespace alloctrail
