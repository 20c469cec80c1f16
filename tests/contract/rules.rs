//! Every rule of the store, by topic.

/// One `#[tokio::test]` for each rule of the store. `$factory` names an
/// `async fn() -> impl StoreUnderTest` in scope.
#[macro_export]
macro_rules! store_contract {
    ($factory:ident) => {
        $crate::store_contract! { @each $factory;
            units: [
                a_change_and_its_event_commit_together,
                a_dropped_unit_of_work_never_was,
                a_dropped_unit_of_work_returns_its_connection,
                a_stale_change_is_refused_and_writes_nothing,
                a_failed_step_spoils_its_unit_of_work,
                a_lock_makes_the_next_wait,
                what_is_not_there_locks_nothing,
            ];
            lifecycle: [
                every_state_reads_back_equal,
                a_deleted_milestone_leaves_its_evidence,
                every_project_reads_back_equal,
            ];
            unique: [
                a_milestone_number_is_used_once_in_a_project,
                a_transfer_reference_is_used_once_in_a_project,
                a_wallet_belongs_to_one_project,
                a_ledger_slot_holds_one_burn,
                a_milestone_has_one_burn_in_flight,
            ];
            races: [
                one_milestone_is_disbursed_once,
                many_milestones_settle_together,
                one_disbursement_is_settled_once,
            ];
            settlements: [
                books_come_in_the_order_asked,
                several_settle_together,
                one_late_settlement_stops_all,
                other_ends_come_along,
                drainers_take_turns,
            ];
            channels: [
                a_pool_is_what_was_kept,
                a_channel_is_leased_until_the_verdict,
                a_channel_has_one_burn_in_flight,
            ];
            books: [
                the_watch_moves_forward,
                a_gap_begins_the_watch_anew,
                burns_are_kept_once,
                a_transaction_burns_for_many_wallets,
                equal_books_show_no_difference,
                burns_that_the_books_do_not_know,
                a_burn_that_is_none_of_its_envelopes,
                books_that_the_ledger_does_not_bear_out,
                a_missing_event_is_found,
            ];
            seal: [
                a_milestone_does_not_change_without_evidence,
                a_milestone_does_not_begin_without_evidence,
                a_milestone_does_not_vanish_without_evidence,
                a_milestone_is_not_replaced,
                log_and_evidence_are_append_only,
                what_was_burned_does_not_fail,
                envelopes_are_never_forgotten,
            ];
            tampered: [
                a_milestone_that_cannot_be_is_inconsistent,
                a_project_that_cannot_be_is_inconsistent,
                a_disbursement_that_cannot_be_is_inconsistent,
                what_does_not_fit_is_not_kept,
            ];
            deleting: [
                a_project_without_milestones_goes,
                a_project_that_changed_stays,
                a_project_with_webhooks_stays,
                a_project_goes_or_is_worked_on,
                a_wallet_left_behind_serves_again,
            ];
            evidence: [
                a_critical_act_needs_its_event,
                no_money_moves_without_its_event,
                other_acts_do_not_need_the_log,
                an_event_is_relayed_exactly_once,
                the_relay_keeps_order,
                a_leaf_is_computed_from_its_row,
                an_event_is_posted_once,
            ];
            pipeline: [
                what_is_appended_is_there_with_its_leaf,
                what_is_in_the_log_is_passed_over,
                an_append_is_all_or_none,
                an_id_has_one_severity,
                writers_of_the_same_events_store_each_once,
                a_probe_leaves_nothing_behind,
                reports_are_those_of_late,
            ];
            letters: [
                letters_are_kept_in_order,
                an_event_has_one_letter,
                what_differs_under_one_id_is_kept_apart,
                what_poisons_the_log_is_kept,
                a_letter_is_driven_again,
                a_letter_that_cannot_be_stored_stays,
                the_oldest_of_the_outbox_is_buried,
                a_dead_letter_is_not_in_the_log,
            ];
            numbering: [
                events_are_numbered_without_a_gap,
                two_sealers_number_once,
                a_late_commit_is_numbered_later,
                a_numbered_event_is_not_numbered_again,
                roll_ups_are_what_a_recount_gives,
                leaves_are_append_only,
            ];
            retention: [
                months_leave_when_it_is_time,
                stragglers_follow_their_month,
                a_dry_run_changes_nothing,
                a_hold_keeps_what_it_touches,
                a_hold_needs_its_event,
                what_expires_is_exported_first,
                one_runs_at_a_time,
                nothing_young_is_touched,
            ];
            leaving: [
                a_killed_run_is_finished_by_the_next,
                what_is_not_sealed_stays,
                a_part_goes_only_when_it_may,
                what_was_altered_stays,
                what_is_archived_is_append_only,
                a_hold_stays_as_it_was_placed,
            ];
            search: [
                every_filter_finds_what_it_matches,
                filters_together_find_what_they_match,
                texts_are_found_as_they_are,
                details_are_contained_as_jsonb_has_it,
                a_scope_is_all_there_is,
                an_event_is_found_wherever_it_is,
            ];
            waiting: [
                what_is_waiting_is_seen,
                late_ids_are_sealed_too,
            ];
            walks: [
                pages_are_the_whole_and_nothing_twice,
                an_offset_passes_over_the_newest,
                a_walk_beside_writers_meets_each_event_once,
                the_order_of_the_log_is_gapless,
                late_commits_come_later_in_the_order,
                the_archive_is_read_along,
            ];
            counting: [
                statistics_are_a_recount,
                counts_end_where_their_time_ends,
                counts_agree_while_writers_and_sealer_work,
                a_projects_counts_are_its_own,
                sizes_tell_every_row,
            ];
            actors: [
                a_person_is_kept_as_told_last,
                unknown_actors_have_no_names,
            ];
            attacks: [
                an_intact_log_is_verified,
                a_log_is_verified_while_it_grows,
                every_column_of_a_row_matters,
                rows_are_where_they_were,
                the_tree_is_what_its_leaves_give,
                the_end_stays,
                history_is_not_rewritten,
                checkpoints_are_what_was_signed,
                roll_ups_are_recounted,
                books_and_log_bear_each_other_out,
                an_expired_row_leaves_its_record,
            ];
            malformed: [
                a_row_that_cannot_be_is_named,
                a_leaf_that_cannot_be_is_named,
                what_waits_repeats_its_event,
                a_key_that_is_none_is_named,
            ];
            expiring: [
                a_forged_expiry_does_not_pass,
                what_expired_is_verified,
                what_goes_is_announced_once,
                nothing_goes_out_of_another_history,
            ];
            tree: [
                the_tree_is_that_of_its_leaves,
                a_dropped_turn_never_was,
                checkpoints_are_remembered_by_the_minute,
                the_tree_only_grows,
                a_record_is_made_of_its_row,
                two_sealers_sign_one_history,
                leaves_from_before_the_tree_are_sealed,
            ];
            idempotency: [
                a_key_gives_its_answer_again,
                a_key_is_for_one_request,
                a_dropped_unit_of_work_frees_its_key,
                a_claim_waits_for_the_one_before,
                one_key_has_one_effect,
            ];
            leases: [
                leases_go_round,
                ended_disbursements_are_not_leased,
                the_pause_grows_with_age,
                a_lease_from_a_clock_ahead_ends,
                a_dropped_lease_is_free,
                a_disbursement_has_one_driver,
                a_sending_is_noted_once,
            ];
            reading: [
                projects_are_listed_in_pages,
                milestones_are_listed_by_number,
                figures_have_no_limit,
                disbursements_are_filtered,
                timelines_are_whole,
                timelines_end_where_the_scope_does,
                statistics_agree_with_the_rows,
                keys_are_found_and_revoked,
                sealed_wallets_are_found,
                reads_wait_for_nobody,
            ];
            webhooks: [
                a_webhook_reads_back_as_it_was_kept,
                a_dropped_webhook_never_was,
                a_webhook_has_one_driver,
                a_webhook_lease_from_a_clock_ahead_ends,
                drivers_share_webhooks,
                progress_is_kept,
                a_disabled_webhook_rests,
                a_webhooks_secret_is_replaced,
                word_comes_of_the_logs_growth,
            ];
            sealed: [
                wallets_are_listed_in_pages,
                a_wallet_is_resealed_from_the_key_it_was_under,
                of_secrets_that_come_at_once_one_stays,
                a_secret_is_resealed_from_the_key_it_was_under,
            ];
            sensitive: [
                what_is_sensitive_is_sealed_and_opened,
                what_is_erased_stays_closed_and_proven,
                a_mark_opens_where_it_was_made_alone,
                an_origin_is_sealed_for_its_request,
            ];
            subject_keys: [
                of_keys_for_one_subject_the_first_stays,
                an_erased_key_is_gone_for_good,
                a_tombstone_is_never_changed,
                a_subject_key_is_resealed_from_the_key_it_was_under,
                an_erasure_and_its_event_commit_together,
                mentions_are_counted,
            ];
        }
    };
    (@each $factory:ident; $($topic:ident: [$($rule:ident,)*];)*) => {
        $(mod $topic {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                let subject = super::$factory().await;
                $crate::contract::$topic::$rule(&subject).await;
            })*
        })*
    };
}
