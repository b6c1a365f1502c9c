"""Two templates compared."""

from __future__ import annotations

from typing import Any

from rtp.ops.stack.compare.changes import PropertyChange, compare, compare_outputs, differences, to_text
from rtp.ops.stack.compare.replacement import replaces

TABLE = {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "t", "KeySchema": [{"AttributeName": "id"}]}}
FUNCTION = {"Type": "AWS::Lambda::Function", "Properties": {"Timeout": 30, "Code": {"S3Key": "a.zip"}}}


def template(**resources: Any) -> dict[str, Any]:
    return {"Resources": resources}


def test_equal_templates_have_no_changes() -> None:
    assert compare(template(Fn=FUNCTION), template(Fn=FUNCTION), {}) == ()


def test_metadata_and_order_of_creation_are_no_changes() -> None:
    # Given a resource that differs in what does not reach it
    other = {**FUNCTION, "Metadata": {"aws:cdk:path": "x"}, "DependsOn": ["Y"]}
    # Then it does not differ
    assert compare(template(Fn=FUNCTION), template(Fn=other), {}) == ()


def test_a_changed_property_is_named_by_its_path() -> None:
    # Given a function with more time / When compared
    other = {**FUNCTION, "Properties": {**FUNCTION["Properties"], "Timeout": 60}}  # type: ignore[dict-item]
    (change,) = compare(template(Fn=FUNCTION), template(Fn=other), {"Fn": "Processing/Worker"})
    # Then the change says where it stands in our code, and what differs
    assert (change.action, change.path) == ("modify", "Processing/Worker")
    assert change.properties == (PropertyChange("Timeout", 30, 60),)
    assert not change.loses_data


def test_additions_and_removals() -> None:
    changes = compare(template(Old=TABLE), template(New=FUNCTION), {})
    assert [(c.action, c.logical_id, c.loses_data) for c in changes] == [("add", "New", False), ("remove", "Old", True)]


def test_a_replaced_table_loses_its_data_unless_it_is_retained() -> None:
    # Given a table whose key changes, which cannot be done in place
    other = {**TABLE, "Properties": {**TABLE["Properties"], "KeySchema": [{"AttributeName": "pk"}]}}  # type: ignore[dict-item]
    # When it is not retained / Then the data is lost
    (change,) = compare(template(T=TABLE), template(T=other), {}, replaces)
    assert (change.action, change.loses_data) == ("replace", True)
    # When it is
    kept = {**TABLE, "UpdateReplacePolicy": "Retain"}
    (change,) = compare(template(T=kept), template(T={**other, "UpdateReplacePolicy": "Retain"}), {}, replaces)
    # Then it is not
    assert (change.action, change.loses_data) == ("replace", False)


def test_a_retained_table_that_is_removed_loses_nothing() -> None:
    (change,) = compare(template(T={**TABLE, "DeletionPolicy": "Retain"}), template(), {})
    assert (change.action, change.loses_data) == ("remove", False)


def emptying(handler: str, **more: Any) -> dict[str, Any]:
    """The resources that empty buckets, by a function of this handler."""
    token = {"Fn::GetAtt": ["Emptier", "Arn"]}
    function = {"Type": "AWS::Lambda::Function", "Properties": {"Handler": handler}}
    return template(
        Emptied={"Type": "Custom::EmptyBuckets", "Properties": {"ServiceToken": token, "Buckets": ["b"]}, **more},
        Emptier=function,
    )


GUARDED = emptying("rtp.runtime.emptier.guarded_handler")
OLD = emptying("rtp.runtime.emptier.handler")  # of rtp 0.1.0


def test_removing_a_custom_resource_that_may_delete_data_is_a_loss() -> None:
    # Given what empties the buckets at every Delete / When an update removes it / Then objects would be lost
    lost = {c.logical_id for c in compare(OLD, template(), {}) if c.loses_data}
    assert lost == {"Emptied"}
    # Given a function of which nothing is known
    for kind in ("Custom::S3AutoDeleteObjects", "AWS::CloudFormation::CustomResource"):
        (change,) = compare(template(X={"Type": kind, "Properties": {"ServiceToken": "arn"}}), template(), {})
        assert change.loses_data
    # Given one that empties them only with the whole stack / Then nothing would
    assert not any(c.loses_data for c in compare(GUARDED, template(), {}))


def test_replacing_a_custom_resource_that_may_delete_data_is_a_loss_unless_retained() -> None:
    # Given one that becomes a resource of another type, as which CloudFormation makes a new one and deletes the old
    for old, loses in ((OLD, True), (GUARDED, False)):
        new = template(**{**old["Resources"], "Emptied": TABLE})
        assert {c.logical_id: c.loses_data for c in compare(old, new, {})}["Emptied"] is loses
    # Given one that is retained, of which CloudFormation tells nobody
    kept = emptying("rtp.runtime.emptier.handler", DeletionPolicy="Retain", UpdateReplacePolicy="Retain")
    assert not any(c.loses_data for c in compare(kept, template(), {}))


def test_updating_a_custom_resource_that_may_delete_data_is_no_loss() -> None:
    assert not any(c.loses_data for c in compare(OLD, GUARDED, {}))


def test_a_table_whose_replacement_is_retained_in_one_template_only_is_a_loss() -> None:
    # Given a table that is replaced by the same update that retains it, or no longer does
    other = {**TABLE, "Properties": {**TABLE["Properties"], "KeySchema": [{"AttributeName": "pk"}]}}  # type: ignore[dict-item]
    for before, after in ((True, False), (False, True)):
        old = {**TABLE, **({"UpdateReplacePolicy": "Retain"} if before else {})}
        new = {**other, **({"UpdateReplacePolicy": "Retain"} if after else {})}
        (change,) = compare(template(T=old), template(T=new), {}, replaces)
        assert change.loses_data


def test_replacements_come_from_the_cdk_s_database() -> None:
    assert replaces("AWS::DynamoDB::Table", "KeySchema") == "yes"
    assert replaces("AWS::SQS::Queue", "QueueName") == "yes"
    assert replaces("AWS::Lambda::Function", "Timeout") == "no"
    assert replaces("Custom::Unheard", "Of") == "no"


def test_lists_of_one_length_are_compared_by_element_and_intrinsics_as_a_whole() -> None:
    assert list(differences({"a": [1, 2]}, {"a": [1, 3]})) == [PropertyChange("a[1]", 2, 3)]
    assert list(differences({"a": [1]}, {"a": [1, 3]})) == [PropertyChange("a", [1], [1, 3])]
    assert list(differences({"a": {"Ref": "X"}}, {"a": {"Ref": "Y"}})) == [
        PropertyChange("a", {"Ref": "X"}, {"Ref": "Y"})
    ]


def test_outputs_are_compared_by_value() -> None:
    old, new = {"Outputs": {"A": {"Value": "1"}}}, {"Outputs": {"A": {"Value": "1", "Description": "d"}}}
    assert compare_outputs(old, new) == ()


def test_values_are_shown_as_short_text() -> None:
    paths = {"Tbl": "Storage/Table"}
    assert to_text({"Fn::GetAtt": ["Tbl", "Arn"]}, paths) == "Storage/Table.Arn"
    assert (
        to_text({"Fn::Join": ["", [{"Fn::GetAtt": ["Tbl", "Arn"]}, "/index/*"]]}, paths) == "Storage/Table.Arn/index/*"
    )
    assert to_text({"Ref": "AWS::Partition"}, paths) == "aws"
    assert to_text("0123456789abcdef" * 4 + ".zip", paths) == "0123456789ab….zip"
    assert to_text(None, paths) == "-"
    assert len(to_text("x" * 1000, paths)) == 160
