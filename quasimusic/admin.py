"""What the admin pages of all apps have in common: lists of 100,000 rows stay quick, records stay records."""

from unfold.admin import ModelAdmin

LISTED = 20  # rows named before a deletion


class HouseAdmin(ModelAdmin):
    list_per_page = 50
    show_full_result_count = False  # saves counting the whole table beside what was searched
    warn_unsaved_form = True


class ReadOnly:
    """Nobody adds, changes or deletes these by hand. Seeing all takes leave to view: every listener has leave to
    change ratings, and means their own."""

    def has_view_permission(self, request, obj=None):
        return request.user.has_perm(f"{self.opts.app_label}.view_{self.opts.model_name}")

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class TakesItsRecords:
    """Deleting a row deletes the plays, ratings and so on that hang on it; they are too many to be listed, and nobody
    may delete them alone."""

    def get_deleted_objects(self, objs, request):
        n_rows = len(objs) if isinstance(objs, list) else objs.count()
        named = [str(obj) for obj in objs[:LISTED]]
        if n_rows > LISTED:
            named.append(f"and {n_rows - LISTED} more")
        counts = {self.opts.verbose_name_plural: n_rows, "records of listening that hang on them": "all"}
        return named, counts, set(), []
