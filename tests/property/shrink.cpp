#include "tests/property/shrink.h"

#include <algorithm>

namespace swnat::property {
namespace {

class Shrinker {
 public:
  Shrinker(Failure failure, const std::function<bool(const Failure&)>& fails)
      : best_(std::move(failure)), fails_(fails) {}

  Failure run() {
    std::size_t before = 0;
    do {
      before = changes_;
      for (std::size_t size = best_.steps.size() / 2; size > 0; size /= 2) leave_out(size);
      simplify_steps();
      simplify_setup();
    } while (changes_ != before);
    forget_unused_policies();
    return best_;
  }

 private:
  // Keeps what `change` makes of the best so far if it still fails.
  template <class Change>
  bool attempt(Change change) {
    Failure candidate = best_;
    change(candidate);
    if (!fails_(candidate)) return false;
    best_ = std::move(candidate);
    ++changes_;
    return true;
  }

  void leave_out(std::size_t size) {
    for (std::size_t first = 0; first + size <= best_.steps.size();) {
      const auto begin = static_cast<std::ptrdiff_t>(first);
      const auto end = static_cast<std::ptrdiff_t>(first + size);
      const bool still = attempt([&](Failure& one) {
        one.steps.erase(one.steps.begin() + begin, one.steps.begin() + end);
      });
      if (!still) first += size;
    }
  }

  // Sets a part of a step to what a plain step has.
  template <class Get>
  void plain(std::size_t number, Get get) {
    Step simple;
    if (get(best_.steps[number]) == get(simple)) return;
    attempt([&](Failure& one) { get(one.steps[number]) = get(simple); });
  }

  void simplify_steps() {
    for (std::size_t i = 0; i < best_.steps.size(); ++i) {
      plain(
          i, [](Step & step) -> auto& { return step.look; });
      plain(
          i, [](Step & step) -> auto& { return step.look.sum; });
      plain(
          i, [](Step & step) -> auto& { return step.look.option_words; });
      plain(
          i, [](Step & step) -> auto& { return step.look.ttl; });
      plain(
          i, [](Step & step) -> auto& { return step.look.payload; });
      plain(
          i, [](Step & step) -> auto& { return step.look.trailing; });
      plain(
          i, [](Step & step) -> auto& { return step.tcp; });
      plain(
          i, [](Step & step) -> auto& { return step.tcp.scale; });
      plain(
          i, [](Step & step) -> auto& { return step.tcp.window; });
      plain(
          i, [](Step & step) -> auto& { return step.tcp.reserved; });
      plain(
          i, [](Step & step) -> auto& { return step.tcp.acknowledgment; });
      plain(
          i, [](Step & step) -> auto& { return step.tcp.sequence; });
      plain(
          i, [](Step & step) -> auto& { return step.tcp.flags; });
      plain(
          i, [](Step & step) -> auto& { return step.peer; });
      plain(
          i, [](Step & step) -> auto& { return step.guess; });
      plain(
          i, [](Step & step) -> auto& { return step.quoted; });
      plain(
          i, [](Step & step) -> auto& { return step.error; });
      plain(
          i, [](Step & step) -> auto& { return step.v6; });
    }
    unify([](Step & step) -> auto& { return step.from.tenant; });
    unify([](Step & step) -> auto& { return step.from.host; });
    unify([](Step & step) -> auto& { return step.from.port; });
    unify([](Step & step) -> auto& { return step.remote_port; });
    unify([](Step & step) -> auto& { return step.remote; });
    unify([](Step & step) -> auto& { return step.protocol; });
    unify([](Step & step) -> auto& { return step.v6; });
  }

  // The same for all steps at once, where they depend on each other.
  template <class Get>
  void unify(Get get) {
    Step simple;
    const bool differs =
        std::ranges::any_of(best_.steps, [&](Step& step) { return get(step) != get(simple); });
    if (!differs) return;
    attempt([&](Failure& one) {
      for (Step& step : one.steps) get(step) = get(simple);
    });
  }

  template <class Get>
  void plain_policy_part(Get get) {
    Policy simple = plain_policy();
    for (std::size_t i = 0; i < best_.setup.policies.size(); ++i) {
      if (get(best_.setup.policies[i]) == get(simple)) continue;
      attempt([&](Failure& one) { get(one.setup.policies[i]) = get(simple); });
    }
  }

  template <class List>
  void plain_list(List list) {
    for (std::size_t i = 0; i < best_.setup.policies.size(); ++i) {
      if (list(best_.setup.policies[i]).empty()) continue;
      attempt([&](Failure& one) { list(one.setup.policies[i]).clear(); });
    }
  }

  void simplify_setup() {
    const Setup simple;
    if (best_.setup.shards != 1) attempt([](Failure& one) { one.setup.shards = 1; });
    if (best_.setup.max_sessions != simple.max_sessions) {
      attempt([&](Failure& one) { one.setup.max_sessions = simple.max_sessions; });
    }
    if (best_.setup.start != simple.start) {
      attempt([&](Failure& one) { one.setup.start = simple.start; });
    }
    plain_policy_part([](Policy & one) -> auto& { return one.filtering; });
    plain_policy_part([](Policy & one) -> auto& { return one.at_limit; });
    plain_policy_part([](Policy & one) -> auto& { return one.hairpin; });
    plain_policy_part([](Policy & one) -> auto& { return one.timeouts; });
    plain_policy_part([](Policy & one) -> auto& { return one.timeouts.udp; });
    plain_policy_part([](Policy & one) -> auto& { return one.timeouts.icmp; });
    plain_policy_part([](Policy & one) -> auto& { return one.timeouts.tcp_transitory; });
    plain_policy_part([](Policy & one) -> auto& { return one.timeouts.tcp_established; });
    plain_list([](Policy & one) -> auto& { return one.drops; });
    plain_list([](Policy & one) -> auto& { return one.redirects; });
    plain_list([](Policy & one) -> auto& { return one.forwards; });
    // What is fixed for an engine's life, in all policies together.
    simplify_all([](Policy& one) { one.mapping = Mapping::endpoint_independent; });
    simplify_all([](Policy& one) { one.ports = {}; });
    simplify_all([](Policy& one) { one.port_rest = Time{0}; });
    simplify_all([](Policy& one) {
      one.external = plain_policy().external;
      drop_lists(one);
    });
    simplify_all([](Policy& one) { drop_lists(one); });
    simplify_all([](Policy& one) {
      for (NamespacePolicy& own : one.namespaces) own.inside.clear();
    });
    simplify_all([](Policy& one) {
      for (NamespacePolicy& own : one.namespaces) own.untranslated.clear();
    });
    simplify_all([](Policy& one) {
      for (NamespacePolicy& own : one.namespaces) own.session_limit = 200;
    });
    simplify_all([](Policy& one) { one.namespaces = plain_policy().namespaces; });
    simplify_all([](Policy& one) {
      if (one.namespaces.size() > 1) one.namespaces.pop_back();
    });
  }

  static void drop_lists(Policy& policy) {
    for (NamespacePolicy& own : policy.namespaces) own.external = {};
  }

  template <class Simplify>
  void simplify_all(Simplify simplify) {
    const std::string before = as_test_case(best_.setup, {});
    Failure candidate = best_;
    for (Policy& one : candidate.setup.policies) simplify(one);
    if (as_test_case(candidate.setup, {}) == before || !fails_(candidate)) return;
    best_ = std::move(candidate);
    ++changes_;
  }

  void forget_unused_policies() {
    auto& policies = best_.setup.policies;
    const auto used = [&](std::size_t number) {
      return std::ranges::any_of(best_.steps, [&](const Step& step) {
        return step.what == What::configure && step.policy == number;
      });
    };
    while (policies.size() > 1 && !used(policies.size() - 1)) {
      if (!attempt([](Failure& one) { one.setup.policies.pop_back(); })) return;
    }
  }

  Failure best_;
  const std::function<bool(const Failure&)>& fails_;
  std::size_t changes_ = 0;
};

}  // namespace

Failure shrunk(Failure failure, const std::function<bool(const Failure&)>& fails) {
  return Shrinker(std::move(failure), fails).run();
}

}  // namespace swnat::property
